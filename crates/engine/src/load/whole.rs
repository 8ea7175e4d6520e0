//! Manifests that an index of an archive lists beside the image that is loaded from it.
//!
//! All of it is hostile: what is kept is hashed, as large as it should be, and bounded.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use registry::MAX_REFERRERS;
use spec::{
    Descriptor, Digest, ImageConfig, ImageId, ImageManifest, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE,
    Manifest, Mentioned, Platform, Tag,
};
use store::{Lease, Store};

use super::contents::{Contents, MAX_DOCUMENTS, MAX_INDEX_DEPTH};
use super::referrers::Referrer;
use super::stored::StoredFile;
use crate::error::BadArchive;
use crate::kept::{self, ManifestKind, Platforms};
use crate::save::documents::blob_path;
use crate::{EngineError, Result};

/// Documents of an index beside one image, and the files that these need.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// The indexes that lead to the image, the outermost first.
    pub(super) indexes: Vec<(Descriptor, Bytes)>,
    /// Other manifests, and indexes, that are kept.
    pub(super) parts: Vec<Part>,
    /// Files of the archive that these need.
    pub(super) blobs: Vec<(Digest, StoredFile)>,
}

/// A manifest or index that is kept beside an image.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    /// The tag by which it refers to the image, if that is how.
    pub(super) tag: Option<Tag>,
}

/// The choice of what an index lists.
pub(super) struct Wish<'a> {
    /// The image that is loaded.
    pub(super) id: &'a ImageId,
    /// The platform that it runs on.
    pub(super) platform: &'a Platform,
    pub(super) platforms: &'a Platforms,
}

/// A manifest that an index lists, with what it says if it is here.
struct Entry {
    descriptor: Descriptor,
    document: Option<Document>,
    kind: ManifestKind,
}

/// A manifest of any kind that is here.
struct Document {
    bytes: Bytes,
    /// Its content, if it is an image's.
    manifest: Option<Arc<ImageManifest>>,
    mentioned: Vec<Descriptor>,
}

impl Entry {
    fn is_for_any(&self, wanted: &[Platform]) -> bool {
        wanted.iter().any(|wanted| self.kind.is_for(wanted))
    }

    fn manifest(&self) -> Option<&ImageManifest> {
        self.document.as_ref()?.manifest.as_deref()
    }

    fn is_of(&self, id: &ImageId) -> bool {
        self.manifest().is_some_and(|manifest| manifest.config.digest == *id.digest())
    }
}

/// The indexes and manifests below an index.
#[derive(Default)]
struct Found {
    /// Each with whether it leads to the image; an index comes before those that it lists.
    indexes: Vec<(Descriptor, Bytes, bool)>,
    entries: Vec<Entry>,
    seen: HashSet<Digest>,
    bytes: u64,
}

impl Contents {
    /// Finds what an index lists beside an image, as far as it is wanted. Blocking.
    ///
    /// What is in the store already need not be in the archive: it is held before it is looked for.
    pub(super) fn whole(
        &self,
        store: &Store,
        lease: &Lease,
        root: &Descriptor,
        wish: &Wish<'_>,
    ) -> Result<Whole> {
        let mut found = Found::default();
        self.find(root, wish.id, 0, &mut found)?;
        let own = found.entries.iter().filter(|entry| entry.is_of(wish.id));
        let mut images: HashSet<Digest> =
            own.map(|entry| entry.descriptor.digest.clone()).collect();
        // Several of one config differ in their layers' compression. Which of them the image came by is not known here, so that
        // all are kept; the store lists none twice.
        let is_one_of_many = images.len() > 1;
        if let Platforms::These(wanted) = wish.platforms {
            for platform in wanted.iter().filter(|wanted| !wanted.is_exactly(wish.platform)) {
                if !found.entries.iter().any(|entry| entry.kind.is_for(platform)) {
                    return Err(self.none_for(std::slice::from_ref(platform), &[]));
                }
            }
            let wanted = found.entries.iter().filter(|entry| entry.is_for_any(wanted));
            images.extend(wanted.map(|entry| entry.descriptor.digest.clone()));
        }
        let mut whole = Whole::default();
        let mut taken = HashSet::new();
        for entry in found.entries {
            if entry.is_of(wish.id) && !is_one_of_many {
                continue;
            }
            let must = match wish.platforms {
                Platforms::Here => false,
                Platforms::All => true,
                Platforms::These(wanted) if entry.is_for_any(wanted) => true,
                Platforms::These(_) if images.iter().any(|it| entry.kind.attests(it)) => false,
                Platforms::These(_) => continue,
            };
            let files = match &entry.document {
                Some(document) => {
                    self.files((store, lease), &entry.descriptor.digest, &document.mentioned)?
                }
                None => None,
            };
            match files {
                Some(files) => {
                    whole
                        .blobs
                        .extend(files.into_iter().filter(|(it, _)| taken.insert(it.clone())));
                    let part = |Document { bytes, .. }| Part {
                        descriptor: entry.descriptor,
                        bytes,
                        tag: None,
                    };
                    whole.parts.extend(entry.document.map(part));
                }
                None if must => {
                    let fault = BadArchive::Incomplete(name(&entry));
                    return Err(EngineError::BadArchive(fault));
                }
                None => {}
            }
        }
        for (descriptor, bytes, leads) in found.indexes {
            if leads {
                whole.indexes.push((descriptor, bytes));
            } else {
                whole.parts.push(Part { descriptor, bytes, tag: None });
            }
        }
        Ok(whole)
    }

    /// Lists what is below a descriptor; says whether it leads to the image.
    fn find(
        &self,
        descriptor: &Descriptor,
        id: &ImageId,
        depth: usize,
        found: &mut Found,
    ) -> Result<bool> {
        if depth > MAX_INDEX_DEPTH || !found.seen.insert(descriptor.digest.clone()) {
            return Ok(false);
        }
        let bytes = self.tree.document(&descriptor.digest, MAX_MANIFEST_SIZE)?;
        found.bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if found.bytes > MAX_DOCUMENTS {
            let (name, size) = (blob_path(&descriptor.digest), found.bytes);
            let fault = BadArchive::FileTooLarge { name, size, max: MAX_DOCUMENTS };
            return Err(EngineError::BadArchive(fault));
        }
        if let Some(bytes) = &bytes
            && let Ok(Manifest::Index(index)) = Manifest::parse(Some(&descriptor.media_type), bytes)
        {
            let place = found.indexes.len();
            found.indexes.push((descriptor.clone(), bytes.clone(), false));
            let mut leads = false;
            for below in &index.manifests {
                leads |= self.find(below, id, depth + 1, found)?;
            }
            found.indexes[place].2 = leads;
            return Ok(leads);
        }
        let document = bytes.and_then(|bytes| {
            let (manifest, mentioned) = kept::read(descriptor, &bytes);
            Some(Document { bytes, manifest, mentioned: mentioned? })
        });
        let manifest = document.as_ref().and_then(|document| document.manifest.as_deref());
        let mut kind = kept::kind(descriptor, manifest);
        if let (ManifestKind::Image { platform, .. }, None, Some(manifest)) =
            (&mut kind, &descriptor.platform, manifest)
            && let Some(bytes) = self.tree.document(&manifest.config.digest, MAX_CONFIG_SIZE)?
            && let Ok(config) = ImageConfig::parse(&bytes)
        {
            *platform = config.platform();
        }
        let entry = Entry { descriptor: descriptor.clone(), document, kind };
        let leads = entry.is_of(id);
        found.entries.push(entry);
        Ok(leads)
    }

    /// Adds what of the archive refers to an image's own manifests, to the others, and to what is added. One of which not all is there stays
    /// away. Blocking.
    pub(super) fn add_referrers(
        &self,
        (store, lease): (&Store, &Lease),
        own: &[Descriptor],
        whole: &mut Whole,
    ) -> Result<()> {
        let around = whole.indexes.iter().map(|(index, _)| index);
        let parts = whole.parts.iter().map(|part| &part.descriptor);
        let mut subjects: VecDeque<Digest> =
            own.iter().chain(around).chain(parts).map(|subject| subject.digest.clone()).collect();
        let mut kept: HashSet<Digest> = subjects.iter().cloned().collect();
        let mut taken: HashSet<Digest> =
            whole.blobs.iter().map(|(digest, _)| digest.clone()).collect();
        let (mut count, mut size) = (0, 0);
        while let Some(subject) = subjects.pop_front() {
            for Referrer { descriptor, tag } in self.referrers.of(&subject) {
                if kept.contains(&descriptor.digest) {
                    continue;
                }
                (count, size) = (count + 1, size + descriptor.size);
                if count > MAX_REFERRERS || size > MAX_DOCUMENTS {
                    tracing::warn!(%subject, "an archive has more that refers to an image than is kept");
                    return Ok(());
                }
                let read = self.tree.document(&descriptor.digest, MAX_MANIFEST_SIZE)?;
                let parsed = read.and_then(|bytes| Some((Mentioned::parse(&bytes).ok()?, bytes)));
                let Some((mentioned, bytes)) = parsed else { continue };
                let listed = self.listed((store, lease), &mentioned, (&mut count, &mut size))?;
                let needed: Vec<Descriptor> = mentioned.blobs().cloned().collect();
                let files = self.files((store, lease), &descriptor.digest, &needed)?;
                let Some((mut files, listed)) = files.zip(listed) else {
                    tracing::warn!(digest = %descriptor.digest, "what refers to an image is not all in the archive");
                    continue;
                };
                files.extend(listed.blobs);
                whole.blobs.extend(files.into_iter().filter(|(it, _)| taken.insert(it.clone())));
                let own = Part { descriptor: descriptor.clone(), bytes, tag: tag.clone() };
                for part in [own].into_iter().chain(listed.parts) {
                    if kept.insert(part.descriptor.digest.clone()) {
                        subjects.push_back(part.descriptor.digest.clone());
                        whole.parts.push(part);
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds what a referrer lists if it is an index, and the files that this needs; `None` if not all of it is there, or if it is too
    /// much. Blocking.
    fn listed(
        &self,
        (store, lease): (&Store, &Lease),
        referrer: &Mentioned,
        (count, size): (&mut usize, &mut u64),
    ) -> Result<Option<Whole>> {
        let (mut whole, mut seen) = (Whole::default(), HashSet::new());
        let mut level = referrer.manifests.clone();
        for _ in 0..=MAX_INDEX_DEPTH {
            level.retain(|entry| seen.insert(entry.digest.clone()));
            if level.is_empty() {
                return Ok(Some(whole));
            }
            for entry in std::mem::take(&mut level) {
                let file = self.tree.blob(&entry.digest);
                if file.is_none_or(|file| file.size() != entry.size)
                    || entry.size > MAX_MANIFEST_SIZE
                {
                    return Ok(None);
                }
                (*count, *size) = (*count + 1, *size + entry.size);
                if *count > MAX_REFERRERS || *size > MAX_DOCUMENTS {
                    return Ok(None);
                }
                let read = self.tree.document(&entry.digest, MAX_MANIFEST_SIZE)?;
                let parsed = read.and_then(|bytes| Some((Mentioned::parse(&bytes).ok()?, bytes)));
                let Some((mentioned, bytes)) = parsed else { return Ok(None) };
                let needed: Vec<Descriptor> = mentioned.blobs().cloned().collect();
                let Some(more) = self.files((store, lease), &entry.digest, &needed)? else {
                    return Ok(None);
                };
                whole.blobs.extend(more);
                level.extend(mentioned.manifests);
                // Nobody may take it for an image of a platform.
                let descriptor = Descriptor { platform: None, ..entry };
                whole.parts.push(Part { descriptor, bytes, tag: None });
            }
        }
        Ok(None)
    }

    /// Returns the files that a manifest needs and the store has not; `None` if one is neither here nor there.
    pub(super) fn files(
        &self,
        (store, lease): (&Store, &Lease),
        manifest: &Digest,
        mentioned: &[Descriptor],
    ) -> Result<Option<Vec<(Digest, StoredFile)>>> {
        let mut files = Vec::new();
        lease.hold_blob(manifest)?;
        for Descriptor { digest, size, .. } in mentioned {
            lease.hold_blob(digest)?;
            if store.blob(digest)?.is_some_and(|blob| blob.size == *size) {
                continue;
            }
            match self.tree.blob(digest).filter(|file| file.size() == *size) {
                Some(file) => files.push((digest.clone(), file.clone())),
                None => return Ok(None),
            }
        }
        Ok(Some(files))
    }
}

fn name(entry: &Entry) -> String {
    match &entry.kind {
        ManifestKind::Image { platform, .. } => platform.specifier(),
        ManifestKind::Attestation { .. } | ManifestKind::Unknown => {
            entry.descriptor.digest.to_string()
        }
    }
}
