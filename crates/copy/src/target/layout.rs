//! An OCI image layout in a folder, and a directory of skopeo's, to write to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use spec::{Descriptor, Digest, MAX_MANIFEST_SIZE, Manifest, MediaType, Tag, from_go_json};

use super::folder::{Folder, Held, PARTIAL};
use crate::document::Document;
use crate::error::Result;
use crate::place::Selection;
use crate::progress::Outcome;
use crate::shared::Shared;
use crate::source::Source;
use crate::source::directory::{ROOT, document_name};
use crate::source::layout::{MARK, MAX_INDEX, NAME_ANNOTATIONS, blob_path};

/// The file that says that a folder is a directory of skopeo's, and what it says.
const DIRECTORY_MARK: (&str, &str) = ("version", "Directory Transport Version: 1.1\n");

/// The directories that were opened so far.
static OPENED: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Debug)]
pub(crate) struct LayoutTarget {
    folder: Folder,
    kind: Form,
}

/// The form of a folder.
#[derive(Clone, Debug)]
enum Form {
    /// A layout, and the name of the next image in it.
    Layout(Option<String>),
    /// A directory, and a number that no other one has in this process: what one image brought the next one removes.
    Directory(u64),
}

impl Form {
    /// Returns the file of a manifest that an index lists.
    fn document_name(&self, digest: &Digest) -> String {
        match self {
            Self::Layout(_) => blob_path(digest),
            Self::Directory(_) => document_name(digest),
        }
    }

    fn blob_name(&self, digest: &Digest) -> String {
        match self {
            Self::Layout(_) => blob_path(digest),
            Self::Directory(_) => digest.hex(),
        }
    }
}

/// The fields of an entry of `index.json` that count here. Others' entries may hold anything.
#[derive(Default, Deserialize)]
struct Known {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl fmt::Display for LayoutTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.path().display();
        match &self.kind {
            Form::Layout(Some(name)) => write!(f, "oci:{folder}:{name}"),
            Form::Layout(None) => write!(f, "oci:{folder}"),
            Form::Directory(_) => write!(f, "dir:{folder}"),
        }
    }
}

impl LayoutTarget {
    pub(crate) fn layout(folder: &Path, name: &Selection) -> Self {
        let name = name.name().map(str::to_owned);
        Self { folder: Folder::new(folder), kind: Form::Layout(name) }
    }

    /// Opens a directory. One that holds anything else than an image is left alone.
    pub(crate) async fn directory(folder: &Path) -> Result<Self> {
        let folder = Folder::new(folder);
        let check = |folder: &Path| {
            let entries = match folder.read_dir() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            // A copy that was cut off has left blobs and manifests, and files on their way.
            let is_ours = |name: &str| is_part(name) || name == PARTIAL || name.starts_with(".tmp");
            let mut names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
            let is_foreign = names.any(|name| !name.to_str().is_some_and(is_ours));
            if is_foreign && !folder.join(DIRECTORY_MARK.0).is_file() {
                return Err(io::Error::other(
                    "it is not empty and holds no image: give an empty directory, or a new one",
                ));
            }
            Ok(())
        };
        folder.change(check).await?;
        Ok(Self { folder, kind: Form::Directory(OPENED.fetch_add(1, Ordering::Relaxed)) })
    }

    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        match self.kind {
            Form::Layout(_) => {
                Self { folder: self.folder.clone(), kind: Form::Layout(Some(tag.to_string())) }
            }
            Form::Directory(_) => self.clone(),
        }
    }

    pub(crate) fn unnamed(&self) -> Self {
        match self.kind {
            Form::Layout(_) => Self { folder: self.folder.clone(), kind: Form::Layout(None) },
            Form::Directory(_) => self.clone(),
        }
    }

    /// Says whether the next image gets a name in a layout.
    pub(crate) fn is_named_layout(&self) -> bool {
        matches!(self.kind, Form::Layout(Some(_)))
    }

    /// Lists what `index.json` has without a name. It was listed after all that it leads to.
    pub(crate) async fn listed(&self) -> Result<HashSet<Digest>> {
        let find = |folder: &Path| {
            let unnamed = entries(&fields(folder)?)?.into_iter().map(|(known, _)| known);
            let unnamed = unnamed.filter(|known| known_name(known).is_none());
            Ok(unnamed.filter_map(|known| known.digest.parse().ok()).collect())
        };
        self.folder.change(find).await
    }

    pub(crate) fn key(&self) -> String {
        let folder = self.folder.path().display();
        match self.kind {
            Form::Layout(_) => folder.to_string(),
            Form::Directory(number) => format!("{folder} {number}"),
        }
    }

    /// Holds a directory until its image is whole: another copy would remove what this one brought. Waits for the other.
    pub(crate) async fn hold(&self) -> Result<Option<Held>> {
        match self.kind {
            Form::Layout(_) => Ok(None),
            Form::Directory(_) => self.folder.hold().await.map(Some),
        }
    }

    /// Returns what the folder has under the name; of a directory, if all the files that it leads to are there, by their sizes.
    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        let kind = self.kind.clone();
        let find = move |folder: &Path| {
            let found = match &kind {
                Form::Layout(name) => {
                    let entries = entries(&fields(folder)?)?;
                    let mut known = entries.iter().map(|(known, _)| known);
                    let found = known.find(|known| name.is_some() && known_name(known) == *name);
                    let digest: Option<Digest> = found.and_then(|known| known.digest.parse().ok());
                    // A list tells what there was when it was written.
                    match digest {
                        Some(digest) => held(&folder.join(blob_path(&digest)), &digest)?
                            .map(|bytes| (digest, bytes)),
                        None => None,
                    }
                }
                Form::Directory(_) => read(&folder.join(ROOT), MAX_MANIFEST_SIZE)?
                    .map(|bytes| (Digest::sha256(&bytes), bytes)),
            };
            let Some((digest, root)) = found else { return Ok(None) };
            // What a layout lacks is asked for where a conversion can keep the rest.
            if matches!(kind, Form::Layout(_)) {
                return Ok(Some(digest));
            }
            let is_there = |(name, size): (&String, &u64)| {
                let metadata = folder.join(name).metadata();
                metadata.is_ok_and(|it| it.is_file() && it.len() == *size)
            };
            let files = leads_to(folder, &kind, root);
            Ok(files.is_some_and(|files| files.iter().all(is_there)).then_some(digest))
        };
        self.folder.change(find).await
    }

    /// Returns a document that is there, and whole. The root of a directory has a name of its own.
    pub(crate) async fn document(&self, digest: &Digest) -> Result<Option<Document>> {
        let (kind, wanted) = (self.kind.clone(), digest.clone());
        let find = move |folder: &Path| {
            let find = |name: String| held(&folder.join(name), &wanted);
            match kind {
                Form::Layout(_) => find(blob_path(&wanted)),
                Form::Directory(_) => match find(document_name(&wanted))? {
                    None => find(ROOT.to_owned()),
                    found => Ok(found),
                },
            }
        };
        let bytes = self.folder.change(find).await?;
        let digest = digest.clone();
        Ok(bytes.map(|bytes| Document { bytes: bytes.into(), media_type: None, digest }))
    }

    pub(crate) async fn has(&self, shared: &Shared, blob: &Descriptor) -> Result<bool> {
        self.folder.has(shared, blob, &self.kind.blob_name(&blob.digest)).await
    }

    pub(crate) async fn blob(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
    ) -> Result<Option<Outcome>> {
        if matches!(self.kind, Form::Layout(_)) && !blob.urls.is_empty() {
            return Ok(Some(Outcome::LeftToItsUrls));
        }
        let known = shared.document(self.key(), &blob.digest);
        let mut outcome = None;
        let name = self.kind.blob_name(&blob.digest);
        // Boxed, as it holds a file's state and there is one for each blob on its way.
        let placing = Box::pin(self.folder.blob(shared, source, blob, &name));
        let place = async {
            outcome = Some(placing.await?);
            Ok::<_, crate::CopyError>(())
        };
        known.get_or_try_init(|| place).await?;
        Ok(outcome)
    }

    pub(crate) async fn put(
        &self,
        is_root: bool,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<()> {
        let (kind, digest, media_type) = (self.kind.clone(), digest.clone(), media_type.clone());
        let store = move |folder: &Path| match &kind {
            Form::Layout(name) => {
                Folder::write(folder, &blob_path(&digest), &bytes)?;
                if !is_root {
                    return Ok(());
                }
                let mut entry = Descriptor::new(media_type, digest, bytes.len() as u64);
                if let Some(name) = name {
                    entry.annotations.insert(NAME_ANNOTATIONS[0].to_owned(), name.clone());
                }
                list(folder, &entry)
            }
            Form::Directory(_) if is_root => {
                Folder::write(folder, DIRECTORY_MARK.0, DIRECTORY_MARK.1.as_bytes())?;
                Folder::sync(folder)?;
                Folder::write(folder, ROOT, &bytes)?;
                clear(folder, &kind, bytes.to_vec())
            }
            Form::Directory(_) => Folder::write(folder, &document_name(&digest), &bytes),
        };
        self.folder.change(store).await
    }
}

/// Says whether a file of a directory is a blob, a manifest or a signature by its name.
fn is_part(name: &str) -> bool {
    let hex = name.strip_suffix(".manifest.json").unwrap_or(name);
    let hex = hex.split_once(".signature-").map_or(hex, |(hex, _)| hex);
    name.starts_with("signature-") || hex.len() >= 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Finds the files that an image leads to, and their sizes; nothing where a document is not there, or cannot be read. Layers that
/// a layout leaves at their URLs are none.
fn leads_to(folder: &Path, kind: &Form, root: Vec<u8>) -> Option<HashMap<String, u64>> {
    let (mut files, mut next, mut bytes) = (HashMap::new(), Vec::new(), root);
    loop {
        match Manifest::parse(None, &bytes) {
            Err(_) => return None,
            Ok(Manifest::Image(image)) => {
                let blobs = [image.config].into_iter().chain(image.layers);
                let blobs =
                    blobs.filter(|it| it.urls.is_empty() || matches!(kind, Form::Directory(_)));
                files.extend(blobs.map(|blob| (kind.blob_name(&blob.digest), blob.size)));
            }
            Ok(Manifest::Index(index)) => {
                for entry in index.manifests {
                    // Those of build caches list blobs.
                    if !entry.media_type.may_be_manifest() {
                        files.insert(kind.blob_name(&entry.digest), entry.size);
                        continue;
                    }
                    let name = kind.document_name(&entry.digest);
                    if files.insert(name.clone(), entry.size).is_none() {
                        next.push(name);
                    }
                }
            }
        }
        let Some(name) = next.pop() else { return Some(files) };
        bytes = read(&folder.join(name), MAX_MANIFEST_SIZE).ok()??;
    }
}

/// Removes what earlier images left in a directory, as skopeo does: it has one image. Where a document that the image leads to is
/// not there all stays.
fn clear(folder: &Path, kind: &Form, root: Vec<u8>) -> io::Result<()> {
    let Some(files) = leads_to(folder, kind, root) else { return Ok(()) };
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| is_part(name) && !files.contains_key(name)) {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

/// Lists an image in `index.json`, in place of what had its name.
fn list(folder: &Path, entry: &Descriptor) -> io::Result<()> {
    let _lock = Folder::lock(folder)?;
    let name = entry.annotations.get(NAME_ANNOTATIONS[0]).cloned();
    // What others wrote stays: their fields, and entries that are nothing here.
    let mut fields = fields(folder)?;
    let mut listed: Vec<Box<RawValue>> = Vec::new();
    for (known, raw) in entries(&fields)? {
        let named = known_name(&known);
        if name.is_none() && named.is_none() && known.digest == entry.digest.to_string() {
            return Ok(());
        }
        if name.is_none() || named != name {
            listed.push(raw);
        }
    }
    listed.push(to_raw_value(entry)?);
    fields.retain(|field, _| !is_list(field));
    fields.insert("manifests".to_owned(), to_raw_value(&listed)?);
    if !folder.join(MARK.0).exists() {
        Folder::write(folder, MARK.0, MARK.1.as_bytes())?;
    }
    Folder::sync(folder)?;
    Folder::write(folder, "index.json", &serde_json::to_vec(&fields)?)
}

/// Writes an `index.json`.
pub(crate) fn index<T: Serialize>(entries: &[T]) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields<'a, T> {
        schema_version: u32,
        media_type: &'static str,
        manifests: &'a [T],
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    serde_json::to_vec(&Fields { schema_version: 2, media_type, manifests: entries })
}

/// Reads the fields of `index.json`, those of a new one if there is no such file.
fn fields(folder: &Path) -> io::Result<BTreeMap<String, Box<RawValue>>> {
    let bytes = match read(&folder.join("index.json"), MAX_INDEX)? {
        Some(bytes) => bytes,
        None => index::<Descriptor>(&[])?,
    };
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
}

/// Reads the entries of `index.json`.
fn entries(fields: &BTreeMap<String, Box<RawValue>>) -> io::Result<Vec<(Known, Box<RawValue>)>> {
    let mut entries = Vec::new();
    for (_, value) in fields.iter().filter(|(field, _)| is_list(field)) {
        // Go writes an empty list as null.
        let listed: Option<Vec<Box<RawValue>>> =
            serde_json::from_str(value.get()).map_err(|error| unreadable(&error))?;
        let listed = listed.into_iter().flatten();
        entries.extend(
            listed.map(|raw| (from_go_json(raw.get().as_bytes()).unwrap_or_default(), raw)),
        );
    }
    Ok(entries)
}

fn is_list(field: &str) -> bool {
    field.eq_ignore_ascii_case("manifests")
}

fn unreadable(error: &serde_json::Error) -> io::Error {
    io::Error::other(format!("its index.json cannot be read: {error}"))
}

fn known_name(entry: &Known) -> Option<String> {
    entry.annotations.as_ref()?.get(NAME_ANNOTATIONS[0]).cloned()
}

/// Reads the document with a digest; nothing if the file is another one.
fn held(path: &Path, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
    let bytes = match path.metadata() {
        Ok(metadata) if metadata.len() <= MAX_MANIFEST_SIZE => read(path, MAX_MANIFEST_SIZE)?,
        _ => None,
    };
    Ok(bytes.filter(|bytes| digest.matches(bytes)))
}

/// Reads a file of at most `limit` bytes, if there is one.
fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > limit || !metadata.is_file() => Err(io::Error::other(
            format!("{} is larger than {limit} bytes, or no file", path.display()),
        )),
        Ok(_) => std::fs::read(path).map(Some),
    }
}
