//! The documents of one image: children before parents, blobs before all.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use spec::{Descriptor, Manifest};

use crate::document::Document;
use crate::error::Result;
use crate::progress::{Event, Outcome};
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, Target};

/// The depth to which indexes may be nested; dockers and buildx have one within one.
pub(super) const MAX_DEPTH: usize = 4;
/// The most documents of one image: an index has a thousand entries at most, and an attestation for each.
pub(super) const MAX_DOCUMENTS: usize = 4000;
/// Parts of an image that are looked at together. With 4 MiB for each document this bounds the memory, as an index within an
/// index is gone through one by one.
pub(super) const AT_ONCE: usize = 8;

/// One image on its way.
pub(crate) struct Job<'a> {
    shared: &'a Shared,
    source: &'a Source,
    target: &'a Target,
    /// True if the target is asked for documents. What a document names is asked for in any case: a registry may have lost it.
    asks: bool,
    sent: AtomicBool,
    documents: AtomicUsize,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        source: &'a Source,
        target: &'a Target,
        asks: bool,
    ) -> Self {
        let (sent, documents) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { shared, source, target, asks, sent, documents }
    }

    /// Says whether the target lacked anything so far.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Copies all that the root leads to, once for all its names.
    pub(crate) async fn whole(&self, root: &Document, manifest: &Manifest) -> Result<()> {
        // Not as `document` has it: the root itself is not there when this is done.
        let done = self.shared.document(format!("{} below", self.target.key()), &root.digest);
        done.get_or_try_init(|| self.below(manifest, 0)).await.copied()
    }

    /// Copies all that a document names.
    fn below<'s>(&'s self, manifest: &'s Manifest, depth: usize) -> LocalBoxFuture<'s, Result<()>> {
        let mut seen = HashSet::new();
        let entries: Vec<&Descriptor> = match manifest {
            Manifest::Image(image) => [&image.config].into_iter().chain(&image.layers).collect(),
            Manifest::Index(index) => index.manifests.iter().collect(),
        };
        let of_index = matches!(manifest, Manifest::Index(_));
        let entries = entries.into_iter().filter(move |entry| seen.insert(&entry.digest));
        let copied = stream::iter(entries).map(move |entry| async move {
            // Some indexes, those of build caches, list blobs.
            if of_index && entry.media_type.may_be_manifest() {
                self.document(entry, depth + 1).await
            } else {
                self.blob(entry).await
            }
        });
        let at_once = if of_index && depth > 0 { 1 } else { AT_ONCE };
        copied.buffer_unordered(at_once).try_collect().boxed_local()
    }

    /// Copies a manifest or index that an index lists, and all that it names.
    async fn document(&self, entry: &Descriptor, depth: usize) -> Result<()> {
        let done = self.shared.document(self.target.key(), &entry.digest);
        done.get_or_try_init(|| self.fetch(entry, depth)).await.copied()
    }

    async fn fetch(&self, entry: &Descriptor, depth: usize) -> Result<()> {
        let place = || self.source.to_string();
        if depth > MAX_DEPTH {
            return Err(CopyError::Depth { place: place(), limit: MAX_DEPTH });
        }
        if self.documents.fetch_add(1, Ordering::Relaxed) >= MAX_DOCUMENTS {
            return Err(CopyError::Documents { place: place(), limit: MAX_DOCUMENTS });
        }
        // The target's own tells what it leads to as well as the source's, which may count what is asked of it.
        let present =
            if self.asks { self.target.document(self.shared, &entry.digest).await? } else { None };
        let is_there = present.is_some();
        let document = match present {
            Some(document) => document,
            None => self.shared.fetch(self.source, Some(&entry.digest)).await?,
        };
        let manifest = self.source.parse(&document)?;
        self.below(&manifest, depth).await?;
        if is_there {
            return Ok(());
        }
        self.sent.store(true, Ordering::Relaxed);
        self.target.store(self.shared, false, &document, manifest.media_type()).await?;
        let (digest, size) = (&document.digest, document.bytes.len() as u64);
        self.shared.tell(&Event::Document { digest, size });
        Ok(())
    }

    async fn blob(&self, blob: &Descriptor) -> Result<()> {
        if let Some(outcome) = Box::pin(self.target.blob(self.shared, self.source, blob)).await? {
            if matches!(outcome, Outcome::Copied | Outcome::Mounted(_)) {
                self.sent.store(true, Ordering::Relaxed);
            }
            self.shared.tell(&Event::Blob { blob, outcome });
        }
        Ok(())
    }
}
