//! The parts of an index that are kept beside the image: manifests of other platforms and of attestations, with all that they
//! mention. They are content, and nothing of them is unpacked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use spec::{
    Descriptor, Digest, ImageConfig, ImageManifest, MAX_INDEX_ENTRIES, ManifestError, Mentioned,
    Platform, Reference, Tag,
};
use store::{Lease, Room, Store};

use super::manifest::{MAX_INDEX_DEPTH, Resolved, check_size, choose};
use super::operation::{Parts, Pull, is_gone};
use crate::progress::{PartLeftOut, ProgressEvent};
use crate::transfer::{Download, Watcher};
use crate::{EngineError, LayerFacts, LayerState, Progress, Result, resolve};

/// Manifests of parts that are asked for at once.
const MANIFESTS_AT_ONCE: usize = 4;
/// The most bytes of the documents of all parts of an image, which are in memory until they are published: a few kilobytes each.
const MAX_DOCUMENTS: usize = 32 << 20;

/// A manifest or index that is kept beside an image.
#[derive(Debug)]
pub(super) struct Part {
    /// As its index describes it.
    pub(super) descriptor: Descriptor,
    /// The tag of cosign's that it was found by, if it was.
    pub(super) tag: Option<Tag>,
    pub(super) bytes: Bytes,
    pub(super) mentioned: Mentioned,
}

/// Aim of a search in an index: the image for a platform, or everything.
type Wanted<'a> = Option<&'a Platform>;

/// A search for parts.
pub(super) struct Search<'a> {
    pub(super) pull: &'a Pull,
    pub(super) reference: &'a Reference,
    pub(super) progress: &'a Progress,
    /// Documents that the image itself came by: nobody needs to be asked for them again.
    pub(super) own: HashMap<Digest, Bytes>,
    pub(super) found: Vec<Part>,
    size: usize,
}

impl Pull {
    /// Fetches the manifests of the parts that are wanted of what a reference led to.
    pub(super) async fn parts(
        &self,
        resolved: &Resolved,
        config: &ImageConfig,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<Vec<Part>> {
        let wanted: Vec<Wanted<'_>> = match &self.request.parts {
            Parts::None => Vec::new(),
            Parts::For(platforms) => platforms.iter().map(Some).collect(),
            Parts::All => vec![None],
        };
        let own = resolved.documents().map(|(digest, bytes)| (digest.clone(), bytes.clone()));
        let (own, found) = (own.collect(), Vec::new());
        let mut search = Search { pull: self, reference, progress, own, found, size: 0 };
        if let Some((root, bytes)) = resolved.indexes.first() {
            for wanted in wanted {
                search.follow(bytes.clone(), wanted).await?;
            }
            self.admit_parts(reference, root, &search.found).await?;
        } else {
            let actual = config.platform();
            let other = wanted.into_iter().flatten();
            let mut other = other.filter(|wanted| !resolve::platform_matches(wanted, &actual));
            if let Some(other) = other.next() {
                return Err(EngineError::NoMatchingManifest(other.specifier()));
            }
        }
        if self.request.referrers {
            search.referrers().await?;
        }
        Ok(search.found)
    }

    /// Downloads what parts of an image mention and is not here. What is here is held first.
    pub(super) async fn fetch_parts(
        &self,
        reference: &Reference,
        own: &ImageManifest,
        parts: &[Part],
    ) -> Result<Vec<Download>> {
        let (mut configs, mut layers) = (Vec::new(), Vec::new());
        // A blob is fetched once, with the size that the first says who mentions it.
        let own = std::iter::once(&own.config).chain(&own.layers);
        let mut sizes: HashMap<&Digest, u64> = own.map(|blob| (&blob.digest, blob.size)).collect();
        let mut seen = HashSet::new();
        for Part { mentioned, .. } in parts {
            for blob in mentioned.blobs() {
                check_size(blob, *sizes.entry(&blob.digest).or_insert(blob.size), reference)?;
            }
            let config = mentioned.config.iter().filter(|blob| seen.insert(&blob.digest));
            configs.extend(config.cloned());
        }
        for Part { mentioned, .. } in parts {
            let new = mentioned.layers.iter().filter(|blob| seen.insert(&blob.digest));
            layers.extend(new.cloned());
        }
        let configs = self.absent(configs, reference).await?;
        let layers = self.absent(layers, reference).await?;
        for layer in &layers {
            let label = layer.digest.short();
            self.progress.facts(&label, LayerFacts::wanted(layer.size));
            self.progress.layer(&label, LayerState::PullingFsLayer);
        }
        let all = layers.iter().map(|blob| (blob, true));
        let all = configs.iter().map(|blob| (blob, false)).chain(all);
        let fetch = |(blob, is_told): (&Descriptor, bool)| {
            let blob = blob.clone();
            let watcher = if is_told {
                Watcher::User { progress: self.progress.clone(), id: blob.digest.short() }
            } else {
                Watcher::Relay(Arc::default())
            };
            async move { self.engine.fetch_blob(&self.remote, &blob, &self.lease, watcher).await }
        };
        // As many as may be under way, and one that waits: a file is open for each.
        let at_once = self.engine.network().limits.downloads.saturating_add(1);
        let fetches: Vec<_> = all.map(fetch).collect();
        stream::iter(fetches).buffer_unordered(at_once).try_collect().await
    }

    /// Lists the blobs that are not here. Fails if they cannot fit on the disk.
    async fn absent(
        &self,
        blobs: Vec<Descriptor>,
        reference: &Reference,
    ) -> Result<Vec<Descriptor>> {
        if blobs.is_empty() {
            return Ok(blobs);
        }
        let (lease, reference) = (Arc::clone(&self.lease), reference.clone());
        self.engine.on_disk(move |store| absent(store, &lease, &reference, blobs)).await
    }
}

impl Search<'_> {
    /// Goes through an index, and the indexes in it, for what is wanted.
    pub(super) async fn follow(&mut self, root: Bytes, wanted: Wanted<'_>) -> Result<()> {
        let mut walked = HashSet::new();
        let mut queue = vec![(root, 0)];
        while let Some((bytes, depth)) = queue.pop() {
            if depth > MAX_INDEX_DEPTH {
                return Err(EngineError::IndexDepth(self.reference.familiar()));
            }
            let entries = self.parse(&bytes)?.manifests;
            let entries = match wanted {
                None => entries,
                Some(platform) => vec![choose(&entries, platform)?.clone()],
            };
            let entries = entries.into_iter().filter(|entry| walked.insert(entry.digest.clone()));
            let own = self.own.clone();
            let fetch = |entry| document(self.pull, self.reference, &own, entry);
            let fetches: Vec<_> = entries.map(fetch).collect();
            let mut documents = stream::iter(fetches).buffered(MANIFESTS_AT_ONCE);
            while let Some((entry, bytes)) = documents.try_next().await? {
                if !self.knows(&entry.digest) {
                    self.count(bytes.as_ref().map_or(0, Bytes::len))?;
                }
                let read = bytes.and_then(|bytes| Some((Mentioned::parse(&bytes).ok()?, bytes)));
                let Some((mentioned, bytes)) = read else {
                    self.left_out(entry.digest, PartLeftOut::Kind(entry.media_type));
                    continue;
                };
                if !mentioned.manifests.is_empty() {
                    queue.push((bytes.clone(), depth + 1));
                }
                if !self.knows(&entry.digest) {
                    self.add(Part { descriptor: entry, tag: None, bytes, mentioned })?;
                }
            }
        }
        Ok(())
    }

    /// Says whether a document is the image's own or one of the parts.
    pub(super) fn knows(&self, digest: &Digest) -> bool {
        self.own.contains_key(digest)
            || self.found.iter().any(|part| part.descriptor.digest == *digest)
    }

    pub(super) fn add(&mut self, part: Part) -> Result<()> {
        self.found.push(part);
        self.bound("manifests in all", self.found.len(), MAX_INDEX_ENTRIES)
    }

    /// Counts the bytes of a document, as soon as they have come.
    pub(super) fn count(&mut self, bytes: usize) -> Result<()> {
        self.size += bytes;
        self.bound("bytes of manifests", self.size, MAX_DOCUMENTS)
    }

    pub(super) fn left_out(&self, digest: Digest, reason: PartLeftOut) {
        self.progress.report(ProgressEvent::LeftOut { digest, reason });
    }

    /// Fails if there are more than are allowed.
    pub(super) fn bound(&self, what: &'static str, count: usize, limit: usize) -> Result<()> {
        if count <= limit {
            return Ok(());
        }
        Err(self.refuse(ManifestError::TooMany { what, count, limit }))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Mentioned> {
        Mentioned::parse(bytes).map_err(|error| self.refuse(error))
    }

    fn refuse(&self, source: ManifestError) -> EngineError {
        EngineError::Manifest { reference: self.reference.familiar(), source }
    }
}

/// Returns an entry of an index with its document; without one if it is not said to be a manifest, and none is there.
async fn document(
    pull: &Pull,
    reference: &Reference,
    own: &HashMap<Digest, Bytes>,
    entry: Descriptor,
) -> Result<(Descriptor, Option<Bytes>)> {
    if let Some(bytes) = own.get(&entry.digest) {
        return Ok((entry, Some(bytes.clone())));
    }
    let repository = reference.repository().clone();
    let name = Reference::new(repository, None, Some(entry.digest.clone()));
    match pull.document(&entry, &name).await {
        Ok(bytes) => Ok((entry, Some(bytes))),
        // Indexes of build caches list layers.
        Err(error) if !entry.media_type.may_be_manifest() && is_gone(&error) => Ok((entry, None)),
        Err(error) => Err(error),
    }
}

/// Fails if a blob that is kept is not as large as a descriptor says; says whether it is kept, and not damaged. Blocking.
pub(super) fn check_kept(store: &Store, blob: &Descriptor, reference: &Reference) -> Result<bool> {
    let Some(kept) = store.blob(&blob.digest)? else { return Ok(false) };
    let same = check_size(blob, kept.size, reference);
    if same.is_err() && store.blob_is_damaged(&blob.digest)? {
        return Ok(false);
    }
    same.map(|()| true)
}

fn absent(
    store: &Store,
    lease: &Lease,
    reference: &Reference,
    blobs: Vec<Descriptor>,
) -> Result<Vec<Descriptor>> {
    let mut absent = Vec::new();
    let mut needed = Room { bytes: 0, inodes: Some(0) };
    for blob in blobs {
        lease.hold_blob(&blob.digest)?;
        if check_kept(store, &blob, reference)? {
            continue;
        }
        // What is damaged makes way for what is fetched.
        store.discard_blob_if_damaged(&blob.digest)?;
        let (present, is_held) = store.partial_blob(&blob.digest)?;
        if !is_held {
            needed.bytes = needed.bytes.saturating_add(blob.size.saturating_sub(present));
            // The file and its state.
            needed.inodes = needed.inodes.map(|inodes| inodes + 2);
        }
        absent.push(blob);
    }
    let keep: Vec<Digest> = absent.iter().map(|blob| blob.digest.clone()).collect();
    store.require_room(needed, &keep)?;
    Ok(absent)
}
