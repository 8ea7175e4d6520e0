//! An OCI image layout, in a folder or an archive.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use spec::{Descriptor, Digest, Manifest, Tag, from_go_json};
use tokio::sync::OnceCell;

use super::list::Named;

use crate::CopyError;
use crate::document::Document;
use crate::error::Result;
use crate::files::tree::Tree;
use crate::pieces::Pieces;
use crate::place::Selection;
use crate::source::read::{document, file, open_blob, read};

/// The largest `index.json`: room for some 10,000 images.
pub(crate) const MAX_INDEX: u64 = 16 << 20;
/// The file that says that a folder is a layout, and what it says.
pub(crate) const MARK: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
/// The names of an image: what skopeo and crane read and write, and what containerd and dockers do.
pub(crate) const NAME_ANNOTATIONS: [&str; 2] =
    ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

#[derive(serde::Deserialize)]
struct IndexFile {
    manifests: Vec<Value>,
}

/// The content of `index.json`.
#[derive(Debug)]
struct List {
    entries: Vec<Descriptor>,
    /// Entries that are no descriptors, and why: others of the same list are what they are.
    faults: Vec<String>,
    /// Of the manifests that are listed those that refer to another.
    referrers: OnceCell<HashMap<Digest, Vec<Digest>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct LayoutSource {
    /// The place as it is told to a user.
    place: Arc<str>,
    tree: Tree,
    list: Arc<List>,
    wanted: Selection,
}

impl fmt::Display for LayoutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.wanted)
    }
}

impl LayoutSource {
    /// Reads the list of images of a layout.
    pub(crate) async fn open(place: &str, tree: Tree, wanted: &Selection) -> Result<Self> {
        let file = file(&tree, place, "index.json").await?;
        let file = file.ok_or_else(|| CopyError::NoLayout { place: place.to_owned() })?;
        let path = format!("{place}/index.json");
        let bytes = read(file, path.clone(), MAX_INDEX).await?;
        let index = from_go_json::<IndexFile>(&bytes);
        let index = index.map_err(|source| CopyError::Json { path, source })?;
        let (mut entries, mut faults) = (Vec::new(), Vec::new());
        // An entry that is nothing names nothing.
        for entry in index.manifests.into_iter().filter(|entry| !entry.is_null()) {
            match from_go_json(entry.to_string().as_bytes()) {
                Ok(entry) => entries.push(entry),
                Err(fault) => faults.push(format!("an entry that cannot be read ({fault})")),
            }
        }
        let list = Arc::new(List { entries, faults, referrers: OnceCell::new() });
        Ok(Self { place: place.into(), tree, list, wanted: wanted.clone() })
    }

    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        Self { wanted: Selection::Name(tag.to_string()), ..self.clone() }
    }

    /// Lists the images, without what only refers to others.
    pub(crate) async fn images(&self) -> Vec<Named<Self>> {
        // One manifest that is damaged hides none of the others: it is told of when it is copied.
        let has_unnamed = self.list.entries.iter().any(|entry| names(entry).next().is_none());
        let referrers = if has_unnamed { self.all_referrers().await.ok() } else { None };
        let refers = |digest| {
            let mut listed = referrers.iter().flat_map(|referrers| referrers.values());
            listed.any(|listed| listed.contains(digest))
        };
        let mut images = Vec::new();
        for entry in &self.list.entries {
            // The last one is the whole name, which no other image has.
            let name = names(entry).last().cloned();
            let wanted = match &name {
                Some(name) => Selection::Name(name.clone()),
                None if refers(&entry.digest) => continue,
                None => Selection::Digest(entry.digest.clone()),
            };
            let source = Self { wanted, ..self.clone() };
            images.push(Named { identity: entry.digest.to_string(), name, source });
        }
        images
    }

    /// Lists the manifests that refer to another.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>> {
        Ok(self.all_referrers().await?.get(subject).cloned().unwrap_or_default())
    }

    /// Lists what cosign has put beside a manifest.
    pub(crate) fn cosign_tags(&self, subject: &Digest) -> Vec<(Tag, Digest)> {
        let named = |tag: Tag| {
            let mut entries = self.list.entries.iter();
            let entry = entries.find(|entry| names(entry).any(|name| name == tag.as_str()))?;
            Some((tag, entry.digest.clone()))
        };
        Tag::of_cosign(subject).into_iter().filter_map(named).collect()
    }

    /// Reads which manifests refer to which: of those that are listed, and of those in the lists that clients keep of them.
    async fn all_referrers(&self) -> Result<&HashMap<Digest, Vec<Digest>>> {
        let find = || async {
            let mut found = HashMap::<Digest, Vec<Digest>>::new();
            let mut digests: VecDeque<(Digest, bool)> = VecDeque::new();
            for entry in self.list.entries.iter().filter(|it| it.media_type.may_be_manifest()) {
                let is_list = names(entry)
                    .any(|name| name.starts_with("sha256-") || name.starts_with("sha512-"));
                digests.push_back((entry.digest.clone(), is_list));
            }
            while let Some((digest, is_list)) = digests.pop_front() {
                let path = blob_path(&digest);
                let bytes = match document(&self.tree, &self.place, path, Some(&digest)).await {
                    // The lists that clients keep outlive what they list.
                    Err(CopyError::Missing { path }) => {
                        tracing::warn!(%path, "what is listed is not there");
                        continue;
                    }
                    bytes => bytes?,
                };
                if let Some(subject) = ::registry::subject(&bytes) {
                    let listed = found.entry(subject).or_default();
                    if !listed.contains(&digest) {
                        listed.push(digest);
                    }
                }
                if is_list && let Ok(Manifest::Index(index)) = Manifest::parse(None, &bytes) {
                    digests.extend(index.manifests.into_iter().map(|entry| (entry.digest, false)));
                }
            }
            Ok(found)
        };
        self.list.referrers.get_or_try_init(find).await
    }

    async fn digest(&self) -> Result<Digest> {
        Ok(match &self.wanted {
            Selection::Digest(digest) => digest.clone(),
            _ => self.entry().await?.digest.clone(),
        })
    }

    /// Returns the entry that is meant: the one with the name, or the only one.
    async fn entry(&self) -> Result<&Descriptor> {
        let List { entries, faults, .. } = &*self.list;
        let found = match &self.wanted {
            Selection::Only if faults.is_empty() => self.only().await,
            Selection::Only => None,
            Selection::Name(wanted) => {
                entries.iter().find(|entry| names(entry).any(|name| name == wanted))
            }
            Selection::Digest(digest) => entries.iter().find(|entry| entry.digest == *digest),
        };
        found.ok_or_else(|| {
            let told = entries.iter().map(|entry| match names(entry).next() {
                Some(name) => name.clone(),
                None => format!("@{}", entry.digest),
            });
            let told: Vec<String> = told.take(20).chain(faults.iter().take(3).cloned()).collect();
            CopyError::NoImage {
                place: self.to_string(),
                found: if told.is_empty() { "none".to_owned() } else { told.join(", ") },
            }
        })
    }

    /// Returns the entry of the only image, which may have several names. What is about it is no other image.
    async fn only(&self) -> Option<&Descriptor> {
        let entries = &self.list.entries;
        let is_one = |images: &[&Descriptor]| images.iter().all(|it| it.digest == images[0].digest);
        let mut images: Vec<&Descriptor> = entries.iter().collect();
        if !is_one(&images) {
            let referrers = self.all_referrers().await.ok()?;
            let about = |image: &Descriptor| {
                let mut tags = names(image).filter_map(|name| name.parse::<Tag>().ok());
                tags.any(|tag| tag.cosign_subject().is_some())
                    || referrers.values().any(|listed| listed.contains(&image.digest))
            };
            images.retain(|image| !about(image));
        }
        images.first().copied().filter(|_| is_one(&images))
    }

    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        let media_type = match (digest, &self.wanted) {
            (None, Selection::Only | Selection::Name(_)) => {
                Some(self.entry().await?.media_type.clone())
            }
            _ => None,
        };
        let digest = match digest {
            Some(digest) => digest.clone(),
            None => self.digest().await?,
        };
        let bytes = document(&self.tree, &self.place, blob_path(&digest), Some(&digest)).await?;
        Ok(Document { bytes, media_type, digest })
    }

    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        open_blob(&self.tree, &self.place, blob_path(&blob.digest), start).await
    }
}

/// Returns the names of an image: the short one, and the whole one.
fn names(entry: &Descriptor) -> impl Iterator<Item = &String> {
    NAME_ANNOTATIONS.iter().filter_map(|name| entry.annotations.get(*name))
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
