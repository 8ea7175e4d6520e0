//! The files of an archive, known before the first byte is sent: a tar says sizes in advance.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use registry::{Referral, RefersBy};
use serde::Serialize;
use spec::{Descriptor, Digest, ImageId, MAX_MANIFEST_SIZE, Mentioned, Reference, Tag};
use store::{Lease, Store};

use super::choice::Choice;
use super::documents::{
    self, IndexFile, Item, LAYOUT, NAME_ANNOTATION, REF_NAME_ANNOTATION, REPO_DIGESTS_ANNOTATION,
    blob_path,
};
use super::left_out::{Base, LEFT_OUT, LeftOutFile};
use super::parts::{LayerSource, Parts};
use super::select::Selected;
use super::v1;
use crate::error::{Defect, Missing};
use crate::push::{Referring, referring};
use crate::{EngineError, Platforms, Result};

/// The file or directory at a path of the archive.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile {
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: i64,
    pub(super) size: u64,
    pub(super) content: Content,
}

/// The source of the content of a file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Directory,
    Bytes(Bytes),
    Layer(LayerSource),
}

/// An image that is saved without other manifests of its index that are here: its own layers are not kept as they came, and so the index
/// would not be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncompleteImage {
    /// The image.
    pub name: String,
    /// The others, by their platforms, or what they are.
    pub without: Vec<String>,
}

/// Referrers of an image that are here, and that it is saved without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersLeftOut {
    /// The image.
    pub name: String,
    /// Their number.
    pub count: usize,
    /// The cause.
    pub why: WhyLeftOut,
}

/// The cause of referrers being left out of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyLeftOut {
    /// They were not asked for.
    NotWanted,
    /// They refer to an index or a manifest that is not saved.
    OfUnsaved,
    /// They refer to the manifest that the image came with, and it is saved with a new one.
    OfFormer,
}

/// All files of an archive, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) files: BTreeMap<String, PlannedFile>,
    /// Files that whoever reads the archive has.
    left_out: BTreeMap<String, LeftOutFile>,
    pub(super) images: Vec<ImageId>,
    /// Images that are saved without others of their index that are here.
    pub(super) incomplete: Vec<IncompleteImage>,
    /// Referrers of the images that are here and not saved.
    pub(super) referrers_left_out: Vec<ReferrersLeftOut>,
}

/// The choice of what of an image is saved.
pub(super) struct Wish<'a> {
    pub(super) platforms: &'a Platforms,
    /// True if what refers to the images is saved, too.
    pub(super) referrers: bool,
}

/// The mode that dockerd creates layers with.
const LAYER_MODE: u32 = 0o666;
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;
const SHA256: &str = "blobs/sha256/";
/// A folder that is rarely there.
const SHA512: &str = "blobs/sha512/";

impl Plan {
    /// Plans an archive of these images, without the layers of the `base`. Blocking.
    pub(super) fn make(
        (store, lease): (&Store, &Lease),
        selection: &[Selected],
        wish: &Wish<'_>,
        base: Base,
    ) -> Result<Self> {
        let mut plan = Self::default();
        let mut items = Vec::new();
        let mut manifests = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for selected in selection {
            let image = store
                .image(&selected.id)?
                .ok_or_else(|| EngineError::NoSuchImage(selected.id.to_string()))?;
            for chain in &image.layers {
                lease.hold_layer(chain)?;
            }
            let choice = Choice::of(store, lease, &image, (&selected.name(), wish.platforms))?;
            if let Choice::Own { without } = &choice
                && !without.is_empty()
            {
                let (name, without) = (selected.name(), without.clone());
                plan.incomplete.push(IncompleteImage { name, without });
            }
            let parts = Parts::of(store, image, selected, choice)?;
            plan.add_image(&parts, &base);
            let top = parts.layers.last().map(|layer| layer.descriptor.digest.hex());
            for tag in &selected.tags {
                let tags = repositories.entry(tag.repository().familiar()).or_default();
                tags.insert(tag_of(tag), top.clone().unwrap_or_default());
            }
            manifests.extend(index_entries(&parts, selected));
            let Referring { of_root, of_others } =
                referring(store, &selected.id, parts.manifest.digest.clone())?;
            let mut left_out = |count, why| {
                let new = ReferrersLeftOut { name: selected.name(), count, why };
                plan.referrers_left_out.extend(Some(new).filter(|_| count > 0));
            };
            left_out(if wish.referrers { 0 } else { of_root.len() }, WhyLeftOut::NotWanted);
            let (unsaved, former) = (WhyLeftOut::OfUnsaved, WhyLeftOut::OfFormer);
            left_out(of_others, if parts.is_generated { former } else { unsaved });
            for one in of_root.into_iter().filter(|_| wish.referrers) {
                let entry = plan.add_referrer((store, lease), one)?;
                if !manifests.contains(&entry) {
                    manifests.push(entry);
                }
            }
            items.push(item(&parts, selected, parent(store, selection, &selected.id)?));
            plan.images.push(selected.id.clone());
        }
        plan.document("oci-layout", LAYOUT.to_vec());
        plan.document("index.json", to_vec(&IndexFile::new(manifests))?);
        // Go writes a list that was never made as `null`.
        let items = Some(items).filter(|items| !items.is_empty());
        plan.document("manifest.json", line(&items)?);
        if !repositories.is_empty() {
            plan.document("repositories", line(&repositories)?);
        }
        // What another image needs in another place is there.
        plan.left_out.retain(|path, _| !plan.files.contains_key(path));
        if let Some(left_out) = base.document(std::mem::take(&mut plan.left_out)) {
            plan.document(LEFT_OUT, to_vec(&left_out)?);
        }
        Ok(plan)
    }

    /// Returns the bytes of the archive: of its files with their headers, and of its end.
    pub(super) fn size(&self) -> u64 {
        const BLOCK: u64 = 512;
        let files = self.files.values();
        files.map(|file| BLOCK + file.size.next_multiple_of(BLOCK)).sum::<u64>() + 2 * BLOCK
    }

    fn add_image(&mut self, parts: &Parts, base: &Base) {
        let config = parts.image.config.value();
        let created =
            config.created.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let created = created.map_or(0, |time| time.as_second().max(0));
        if parts.is_dockerds {
            let documents = v1::documents(parts.image.config.bytes(), &parts.image.layers);
            for document in documents.unwrap_or_default() {
                self.bytes(&Digest::sha256(&document.bytes), document.bytes, created);
            }
        }
        for (layer, chain) in parts.layers.iter().zip(&parts.image.layers) {
            let mode = if parts.is_dockerds { LAYER_MODE } else { FILE_MODE };
            let path = blob_path(&layer.descriptor.digest);
            if let Some(of) = base.has(chain) {
                self.left_out.insert(path, LeftOutFile { size: layer.descriptor.size, of });
                continue;
            }
            self.files.entry(path).or_insert_with(|| PlannedFile {
                mode,
                modified: created,
                size: layer.descriptor.size,
                content: Content::Layer(layer.source.clone()),
            });
        }
        self.bytes(parts.image.id.digest(), parts.image.config.bytes().clone(), created);
        self.bytes(&parts.manifest.digest, parts.manifest_bytes.clone(), 0);
        for (digest, bytes) in &parts.related {
            self.bytes(digest, bytes.clone(), 0);
        }
        for blob in &parts.others {
            let path = blob_path(&blob.digest);
            if self.left_out.contains_key(&path) {
                continue;
            }
            let source = LayerSource::Blob(blob.digest.clone());
            self.files.entry(path).or_insert_with(|| PlannedFile {
                mode: FILE_MODE,
                modified: created,
                size: blob.size,
                content: Content::Layer(source),
            });
        }
        for (path, modified) in [("blobs/", created), (SHA256, 0), (SHA512, 0)] {
            if path == SHA512 && !self.files.keys().any(|name| name.starts_with(SHA512)) {
                continue;
            }
            let (mode, content) = (DIRECTORY_MODE, Content::Directory);
            self.files.insert(path.to_owned(), PlannedFile { mode, modified, size: 0, content });
        }
    }

    /// Adds what refers to an image; returns the entry of the index for it.
    fn add_referrer(
        &mut self,
        (store, lease): (&Store, &Lease),
        Referral { descriptor, by }: Referral,
    ) -> Result<Descriptor> {
        let digest = &descriptor.digest;
        let (size, mentioned) = self.add_kept((store, lease), digest)?;
        let mut seen = HashSet::from([digest.clone()]);
        let mut listed = mentioned.manifests;
        while let Some(entry) = listed.pop() {
            if !seen.insert(entry.digest.clone()) {
                continue;
            }
            match self.add_kept((store, lease), &entry.digest) {
                Ok((_, mentioned)) => listed.extend(mentioned.manifests),
                // An index may list what nobody could fetch.
                Err(EngineError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let media_type = Some(mentioned.media_type).filter(|said| !said.as_str().is_empty());
        let media_type = media_type.unwrap_or_else(|| descriptor.media_type.clone());
        let mut entry = Descriptor::new(media_type, digest.clone(), size);
        if let RefersBy::Tag(tag) = by {
            entry.annotations.insert(REF_NAME_ANNOTATION.to_owned(), tag.to_string());
        }
        Ok(entry)
    }

    /// Adds a kept manifest of any kind with its blobs; returns its size and what it mentions.
    fn add_kept(
        &mut self,
        (store, lease): (&Store, &Lease),
        digest: &Digest,
    ) -> Result<(u64, Mentioned)> {
        let gone = |digest: &Digest| EngineError::Missing(Missing::BlobGone(digest.clone()));
        lease.hold_blob(digest)?;
        let blob = store.blob(digest)?.filter(|blob| blob.size <= MAX_MANIFEST_SIZE);
        let size = blob.ok_or_else(|| gone(digest))?.size;
        let bytes = store.read_blob(digest, size)?.ok_or_else(|| gone(digest))?;
        let mentioned = Mentioned::parse(&bytes).map_err(|_| gone(digest))?;
        let mut files = Vec::new();
        for blob in mentioned.blobs() {
            lease.hold_blob(&blob.digest)?;
            let size = store.blob(&blob.digest)?.ok_or_else(|| gone(&blob.digest))?.size;
            let content = Content::Layer(LayerSource::Blob(blob.digest.clone()));
            let file = PlannedFile { mode: FILE_MODE, modified: 0, size, content };
            files.push((blob_path(&blob.digest), file));
        }
        for (path, file) in files {
            self.files.entry(path).or_insert(file);
        }
        self.bytes(digest, bytes, 0);
        Ok((size, mentioned))
    }

    fn bytes(&mut self, digest: &Digest, bytes: Bytes, modified: i64) {
        self.insert(blob_path(digest), bytes, modified);
    }

    fn document(&mut self, name: &str, bytes: Vec<u8>) {
        self.insert(name.to_owned(), bytes.into(), 0);
    }

    fn insert(&mut self, path: String, bytes: Bytes, modified: i64) {
        let (mode, size) = (FILE_MODE, bytes.len() as u64);
        let content = Content::Bytes(bytes);
        self.files.insert(path, PlannedFile { mode, modified, size, content });
    }
}

fn to_vec(value: &impl Serialize) -> Result<Vec<u8>> {
    let text = spec::to_go_json(value);
    text.map(String::into_bytes).map_err(|error| EngineError::Internal(Defect::Encode(error)))
}

/// A document as Go's encoder ends it.
fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn tag_of(reference: &Reference) -> String {
    reference.tag().map_or_else(|| Tag::latest().as_str().to_owned(), |tag| tag.as_str().to_owned())
}

/// Returns the entries of the index for an image: one for each tag, or one without a name.
fn index_entries(parts: &Parts, selected: &Selected) -> Vec<Descriptor> {
    let mut plain = parts.manifest.clone();
    if !parts.repo_digests.is_empty() {
        let texts: Vec<String> = parts.repo_digests.iter().map(Reference::to_string).collect();
        plain.annotations.insert(REPO_DIGESTS_ANNOTATION.to_owned(), texts.join(","));
    }
    if selected.tags.is_empty() {
        return vec![plain];
    }
    let named = |tag: &Reference| {
        let mut entry = plain.clone();
        entry.annotations.insert(NAME_ANNOTATION.to_owned(), tag.to_string());
        entry.annotations.insert(REF_NAME_ANNOTATION.to_owned(), tag_of(tag));
        entry
    };
    selected.tags.iter().map(named).collect()
}

fn item(parts: &Parts, selected: &Selected, parent: Option<ImageId>) -> Item {
    let tags: Vec<String> = selected.tags.iter().map(Reference::familiar).collect();
    let source = |layer: &super::parts::LayerPart| {
        (layer.diff_id.to_string(), documents::LayerSource::from(layer.descriptor.clone()))
    };
    Item {
        config: blob_path(parts.image.id.digest()),
        repo_tags: Some(tags).filter(|tags| !tags.is_empty()),
        layers: parts.layers.iter().map(|layer| blob_path(&layer.descriptor.digest)).collect(),
        parent,
        layer_sources: parts.layers.iter().map(source).collect(),
    }
}

/// Returns the image that `id` was built from, if that is saved, too.
fn parent(store: &Store, selection: &[Selected], id: &ImageId) -> Result<Option<ImageId>> {
    let parent = store.parent(id)?;
    Ok(parent.filter(|parent| parent != id && selection.iter().any(|other| other.id == *parent)))
}

#[cfg(test)]
mod tests;
