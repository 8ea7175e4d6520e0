//! Manifests, configs and compressed layers by digest: an OCI image layout that other tools can read.
//!
//! `index.json` lists the manifests, each with the image that it is of in an annotation, and a second one if it is a part
//! (see [`index`]). What no listed manifest mentions is garbage.

pub(crate) mod blob;
pub(crate) mod hashing;
mod index;
pub(crate) mod kept;
mod reindex;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use spec::{Descriptor, Digest, ImageId, MAX_MANIFEST_SIZE, Reference, from_go_json};

use crate::cache::snapshot::MAX_DOCUMENT;
use crate::lock::Transaction;
use crate::{Blob, NewPart, Store, StoreError, VerifiedBlob, files};

use self::blob::BlobSource;
use self::hashing::HashingReader;
pub(crate) use self::index::{ContentIndex, image_of, is_part};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The digests that a manifest mentions. Which kind of manifest it is does not matter for what it keeps alive.
#[derive(Deserialize)]
struct Links {
    config: Option<Link>,
    layers: Option<Vec<Link>>,
    manifests: Option<IgnoredAny>,
    /// Those of an artifact's manifest. In any other they say nothing, whatever they are.
    blobs: Box<RawValue>,
}

impl Links {
    fn all(self) -> impl Iterator<Item = Link> {
        let is_artifact =
            self.config.is_none() && self.layers.is_none() && self.manifests.is_none();
        let blobs: Option<Vec<Link>> =
            is_artifact.then(|| from_go_json(self.blobs.get().as_bytes()).ok()).flatten();
        let layers = self.layers.or(blobs).unwrap_or_default();
        self.config.into_iter().chain(layers)
    }
}

#[derive(Deserialize)]
struct Link {
    digest: Digest,
    size: u64,
}

/// Creates a layout where there is none. Manifests that are here all the same are listed in it.
pub(crate) fn initialize(store: &Store, transaction: &Transaction) -> Result<(), StoreError> {
    let paths = store.paths();
    let layout = paths.content_layout();
    if !files::exists(&layout)? {
        store.disk().replace(&paths.staging(), &layout, LAYOUT, 0o600)?;
    }
    if !files::exists(&paths.content_index())? {
        store.restore_index(transaction)?;
    }
    Ok(())
}

impl Store {
    /// Looks a blob up.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let path = self.paths().blob(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(Blob { path, size: metadata.len() })),
            Err(error) if files::is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::io("look at", path, error)),
        }
    }

    /// Returns how many bytes all blobs have together.
    pub fn kept_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes: u64 = 0;
        for algorithm in [spec::Algorithm::Sha256, spec::Algorithm::Sha512] {
            let folder = self.paths().blobs(algorithm);
            for name in files::names(&folder)? {
                // One may go meanwhile.
                bytes += fs::symlink_metadata(folder.join(name)).map_or(0, |blob| blob.len());
            }
        }
        Ok(bytes)
    }

    /// Reads a blob of at most `max` bytes and checks it against its digest.
    pub fn read_blob(&self, digest: &Digest, max: u64) -> Result<Option<Bytes>, StoreError> {
        let path = self.paths().blob(digest);
        let Some(bytes) = files::read(&path, max)? else { return Ok(None) };
        if !digest.matches(&bytes) {
            return Err(StoreError::damaged(path, "its content does not match its digest"));
        }
        Ok(Some(bytes.into()))
    }

    /// Reads a blob of any size; says whether it is here and does not match its digest.
    pub fn blob_is_damaged(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.damaged_blob(digest)?.is_some())
    }

    /// Opens a blob that does not match its digest.
    fn damaged_blob(&self, digest: &Digest) -> Result<Option<fs::File>, StoreError> {
        let path = self.paths().blob(digest);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if files::is_missing(&error) => return Ok(None),
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        let mut reader = HashingReader::new(&file, digest.algorithm());
        reader.drain().map_err(|error| StoreError::io("read", path, error))?;
        let (actual, _) = reader.finish();
        Ok((actual != *digest).then_some(file))
    }

    /// Reads a blob of any size and removes it if it does not match its digest, so that it can be fetched again. Returns
    /// whether it was damaged.
    pub fn discard_blob_if_damaged(&self, digest: &Digest) -> Result<bool, StoreError> {
        let Some(file) = self.damaged_blob(digest)? else { return Ok(false) };
        let path = self.paths().blob(digest);
        let damaged = file.metadata().map_err(|error| StoreError::io("look at", &path, error))?;
        let _transaction = self.transaction()?;
        // Somebody may have published a good one meanwhile.
        match fs::metadata(&path) {
            Ok(now) if now.ino() == damaged.ino() => self.disk().remove_file(&path),
            Ok(_) => Ok(true),
            Err(error) if files::is_missing(&error) => Ok(true),
            Err(error) => Err(StoreError::io("look at", path, error)),
        }
    }

    /// Returns the manifests, and the indexes they were found through, that an image came with.
    pub fn manifests_of(&self, id: &ImageId) -> Result<Vec<Descriptor>, StoreError> {
        Ok(self.content_index()?.of_image(id, false))
    }

    /// Returns the manifests that are kept of an image beside those that it is: of other platforms, of attestations, and indexes
    /// within its index. Each has the platform that the index gives it.
    pub fn parts_of(&self, id: &ImageId) -> Result<Vec<Descriptor>, StoreError> {
        Ok(self.content_index()?.of_image(id, true))
    }

    /// Returns the tags of those parts of an image that were found by one, as cosign's signatures are.
    pub fn part_tags(&self, id: &ImageId) -> Result<HashMap<Digest, String>, StoreError> {
        let index = self.content_index()?;
        Ok(index.part_tags(id).map(|(digest, tag)| (digest.clone(), tag.to_owned())).collect())
    }

    /// Returns the digest of the manifest or index that a name of the image `id` was last pulled, loaded or tagged as, if that is
    /// known: several names of an image may have come by several indexes.
    pub fn root_of(&self, id: &ImageId, name: &Reference) -> Result<Option<Digest>, StoreError> {
        Ok(self.content_index()?.root_of(id, name))
    }

    /// Notes that `tag` of the image `id` means the manifest or index `root` of it.
    pub fn note_root(
        &self,
        id: &ImageId,
        root: &Digest,
        tag: &Reference,
    ) -> Result<(), StoreError> {
        let transaction = self.transaction()?;
        let mut index = ContentIndex::clone(&*self.content_index()?);
        if index.name(id, root, &[tag.to_string()], &self.tags_of(id)?) {
            self.write_index(&transaction, &index)?;
        }
        Ok(())
    }

    fn tags_of(&self, id: &ImageId) -> Result<Vec<String>, StoreError> {
        let references = self.references()?;
        let tags = references.of_image(id).iter().filter(|name| name.digest().is_none());
        Ok(tags.map(ToString::to_string).collect())
    }

    /// Returns what was found out of the manifests of an image, as the commits said that had them.
    pub fn findings_of(&self, id: &ImageId) -> Result<Vec<(Digest, String)>, StoreError> {
        let index = self.content_index()?;
        let findings = index.findings(id);
        Ok(findings.map(|(digest, text)| (digest.clone(), text.to_owned())).collect())
    }

    /// Lists `manifests` as those of the image `id`, and `parts` as its parts. The first of `manifests` is what `tags` mean.
    pub(crate) fn add_manifests(
        &self,
        transaction: &Transaction,
        id: &ImageId,
        manifests: &[Descriptor],
        parts: &[NewPart],
        tags: &[String],
    ) -> Result<(), StoreError> {
        match self.with_manifests(id, manifests, parts, tags)? {
            Some(index) => self.write_index(transaction, &index),
            None => Ok(()),
        }
    }

    /// Returns the list as [`Store::add_manifests`] writes it; nothing if it is so already.
    pub(crate) fn with_manifests(
        &self,
        id: &ImageId,
        manifests: &[Descriptor],
        parts: &[NewPart],
        tags: &[String],
    ) -> Result<Option<ContentIndex>, StoreError> {
        let mut index = ContentIndex::clone(&*self.content_index()?);
        let own = manifests.iter().map(|manifest| index::entry(id, manifest));
        let part = |part: &NewPart| index::part_entry(id, &part.descriptor, part.tag.as_ref());
        let parts = parts.iter().map(part);
        let mut changed = false;
        for entry in own.chain(parts) {
            changed |= index.add(entry);
        }
        if let Some(root) = manifests.first().filter(|_| !tags.is_empty()) {
            changed |= index.name(id, &root.digest, tags, &self.tags_of(id)?);
        }
        Ok(changed.then_some(index))
    }

    /// Notes what was found of manifests of the image `id`.
    pub(crate) fn note_findings(
        &self,
        transaction: &Transaction,
        id: &ImageId,
        findings: &[(Digest, String)],
    ) -> Result<(), StoreError> {
        let mut index = ContentIndex::clone(&*self.content_index()?);
        let mut changed = false;
        for (digest, text) in findings {
            changed |= index.note_finding(id, digest, text);
        }
        if changed {
            self.write_index(transaction, &index)?;
        }
        Ok(())
    }

    /// Takes the manifests of the image `id` off the list and returns all blobs that they mention.
    pub(crate) fn remove_manifests(
        &self,
        transaction: &Transaction,
        id: &ImageId,
    ) -> Result<Vec<Digest>, StoreError> {
        let mut index = ContentIndex::clone(&*self.content_index()?);
        let id = id.to_string();
        let removed: Vec<Descriptor> =
            index.manifests.extract_if(.., |entry| image_of(entry) == Some(&*id)).collect();
        if !removed.is_empty() {
            self.write_index(transaction, &index)?;
        }
        self.mentioned(removed.iter())
    }

    /// Returns all blobs that the manifests of the image `id` mention.
    pub(crate) fn blobs_of(&self, id: &ImageId) -> Result<Vec<Digest>, StoreError> {
        let index = self.content_index()?;
        let image = id.to_string();
        self.mentioned(index.manifests.iter().filter(|entry| image_of(entry) == Some(&*image)))
    }

    /// Returns the images that have listed manifests.
    pub(crate) fn listed_images(&self) -> Result<BTreeSet<ImageId>, StoreError> {
        let index = self.content_index()?;
        Ok(index.manifests.iter().filter_map(|entry| image_of(entry)?.parse().ok()).collect())
    }

    /// Returns all blobs that listed manifests mention, and these themselves.
    pub(crate) fn listed_blobs(&self) -> Result<Vec<Digest>, StoreError> {
        self.mentioned(self.content_index()?.manifests.iter())
    }

    /// Returns the digests of all listed manifests, each with whether it is a part of some image.
    pub(crate) fn listed_manifests(&self) -> Result<BTreeMap<Digest, bool>, StoreError> {
        let mut listed = BTreeMap::new();
        for entry in &self.content_index()?.manifests {
            *listed.entry(entry.digest.clone()).or_default() |= is_part(entry);
        }
        Ok(listed)
    }

    /// Returns what the manifest `digest`, of these bytes, mentions, with sizes in bytes.
    pub(crate) fn sizes_in(
        &self,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Vec<(Digest, u64)>, StoreError> {
        let parsed: Links = from_go_json(bytes)
            .map_err(|error| StoreError::damaged(self.paths().blob(digest), error))?;
        Ok(parsed.all().map(|link| (link.digest, link.size)).collect())
    }

    /// Takes a manifest that is damaged or gone off the list.
    pub(crate) fn forget_manifest(
        &self,
        transaction: &Transaction,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let mut index = ContentIndex::clone(&*self.content_index()?);
        index.manifests.retain(|entry| entry.digest != *digest);
        self.write_index(transaction, &index)
    }

    pub(crate) fn mentioned<'a>(
        &self,
        manifests: impl Iterator<Item = &'a Descriptor>,
    ) -> Result<Vec<Digest>, StoreError> {
        let mut digests = Vec::new();
        for manifest in manifests {
            digests.push(manifest.digest.clone());
            match self.links(&manifest.digest) {
                Ok(Some(links)) => digests.extend(links.iter().cloned()),
                Ok(None) => digests.extend(self.presumed_links(manifest)?),
                // One that cannot be read must not keep other images from being removed.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(manifest = %manifest.digest, error, "a manifest cannot be read");
                    digests.extend(self.presumed_links(manifest)?);
                }
            }
        }
        Ok(digests)
    }

    /// Returns what a manifest that cannot be read mentions as far as its image tells: the config, and all blobs that the layers
    /// were seen as. Of a part nothing tells.
    fn presumed_links(&self, manifest: &Descriptor) -> Result<Vec<Digest>, StoreError> {
        if is_part(manifest) {
            return Ok(Vec::new());
        }
        let id = image_of(manifest).and_then(|id| id.parse::<ImageId>().ok());
        let Some(id) = id else { return Ok(Vec::new()) };
        let mut digests = vec![id.digest().clone()];
        // A damaged config tells nothing of its layers.
        let image = self.image(&id).ok().flatten();
        for diff_id in image.iter().flat_map(|image| &image.config.value().rootfs.diff_ids) {
            digests.extend(self.sources_of(diff_id)?.into_iter().map(|source| source.digest));
        }
        Ok(digests)
    }

    /// Returns what the manifest `digest` mentions: its config and its layers, not the manifests of an index, which are
    /// listed for themselves where they are here. `None` if it is gone.
    pub(crate) fn links(&self, digest: &Digest) -> Result<Option<Arc<[Digest]>>, StoreError> {
        if let Some(links) = self.known_links().get(digest) {
            return Ok(Some(links));
        }
        let Some(bytes) = self.read_blob(digest, MAX_MANIFEST_SIZE)? else { return Ok(None) };
        let parsed: Links = from_go_json(&bytes)
            .map_err(|error| StoreError::damaged(self.paths().blob(digest), error))?;
        let links: Arc<[Digest]> = parsed.all().map(|link| link.digest).collect();
        self.known_links().put(digest.clone(), Arc::clone(&links));
        Ok(Some(links))
    }

    pub(crate) fn content_index(&self) -> Result<Arc<ContentIndex>, StoreError> {
        let path = self.paths().content_index();
        let parse = |bytes: &[u8]| match from_go_json(bytes) {
            Ok(index) => Ok(index),
            Err(error) => {
                tracing::warn!(%error, "the list of manifests is damaged and found out anew");
                self.find_index()
            }
        };
        match self.content_snapshot().load(&path, parse) {
            Err(StoreError::Damaged { .. } | StoreError::TooLarge { .. }) => {
                Ok(Arc::new(self.find_index()?))
            }
            loaded => loaded,
        }
    }

    /// Says what is wrong with the file of the list.
    pub(crate) fn index_problem(&self) -> Option<String> {
        let path = self.paths().content_index();
        let read = files::read(&path, MAX_DOCUMENT).and_then(|bytes| {
            let bytes = bytes.unwrap_or_default();
            let parsed = from_go_json::<ContentIndex>(&bytes);
            parsed.map(drop).map_err(|error| StoreError::damaged(&path, error))
        });
        read.err().map(|error| match error {
            StoreError::Damaged { reason, .. } => reason,
            error => error.to_string(),
        })
    }

    /// Writes the list anew, from the manifests that are here.
    pub(crate) fn restore_index(&self, transaction: &Transaction) -> Result<(), StoreError> {
        self.write_index(transaction, &self.find_index()?)
    }

    fn find_index(&self) -> Result<ContentIndex, StoreError> {
        let (own, parts) = reindex::find(self)?;
        let own = own.iter().map(|(id, manifest)| index::entry(id, manifest));
        let parts = parts.iter().map(|(id, part)| index::part_entry(id, part, None));
        Ok(ContentIndex::of(own.chain(parts).collect()))
    }

    /// Puts a blob in the place of one that is damaged or gone.
    pub fn replace_blob(&self, blob: &VerifiedBlob) -> Result<(), StoreError> {
        let target = self.paths().blob(blob.digest());
        let _transaction = match &blob.source {
            BlobSource::Bytes(bytes) => {
                let transaction = self.transaction()?;
                self.disk().replace(&self.paths().staging(), &target, bytes, 0o600)?;
                transaction
            }
            BlobSource::File(file) => {
                file.durability().sync()?;
                let transaction = self.transaction()?;
                file.publish(&target)?;
                transaction
            }
        };
        self.disk().sync_dir(&self.paths().blobs(blob.digest().algorithm()))
    }

    /// Keeps manifests and indexes that an image is known to have come with and that are not here any more.
    pub fn keep_manifests(
        &self,
        id: &ImageId,
        documents: &[(Descriptor, Bytes)],
    ) -> Result<(), StoreError> {
        for (descriptor, bytes) in documents {
            if self.blob(&descriptor.digest)?.is_none() {
                self.replace_blob(&VerifiedBlob::check(&descriptor.digest, bytes.clone())?)?;
            }
        }
        let descriptors: Vec<Descriptor> =
            documents.iter().map(|(descriptor, _)| descriptor.clone()).collect();
        self.add_manifests(&self.transaction()?, id, &descriptors, &[], &[])
    }

    pub(crate) fn write_index(
        &self,
        transaction: &Transaction,
        index: &ContentIndex,
    ) -> Result<(), StoreError> {
        let (paths, target) = (self.paths(), self.paths().content_index());
        let bytes =
            serde_json::to_vec(index).map_err(|error| StoreError::damaged(&target, error))?;
        transaction.insist(|| self.disk().replace(&paths.staging(), &target, &bytes, 0o600))?;
        self.disk().sync_dir(&paths.content())
    }
}
