//! Facts of a copy, as they become known.

use std::sync::atomic::{AtomicU64, Ordering};

use spec::{Descriptor, Digest};

/// Result of a copy for one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its bytes were sent.
    Copied,
    /// The target had it.
    Exists,
    /// The target's registry took it over from this repository of its own.
    Mounted(String),
    /// It stays at the URLs that its manifest names: it is not to be redistributed.
    LeftToItsUrls,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A blob is on its way.
    Sent {
        /// Descriptor of the blob.
        blob: &'a Descriptor,
        /// Its bytes that were handed on.
        bytes: u64,
    },
    /// A blob is at the target.
    Blob {
        /// Descriptor of the blob.
        blob: &'a Descriptor,
        /// The way it came there.
        outcome: Outcome,
    },
    /// A layer was compressed anew, and is on its way as what was made of it.
    Compressed {
        /// Descriptor of the layer at the source.
        layer: &'a Descriptor,
        /// Descriptor of what was made of it.
        made: &'a Descriptor,
    },
    /// A manifest or index was stored.
    Document {
        /// Digest of the document.
        digest: &'a Digest,
        /// Bytes of the document.
        size: u64,
    },
    /// A manifest that refers to an image was stored.
    Referrer {
        /// Digest of the manifest.
        digest: &'a Digest,
    },
}

/// Is told of the facts of a copy.
pub type Report = dyn Fn(&Event<'_>) + Send + Sync;

/// Differences of a copy from its source, where they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Layers that are compressed anew.
    pub layers: u64,
    /// Manifests and indexes with other media types.
    pub retyped: u64,
    /// Attestations that are about manifests which have other digests now. What they say names the old ones.
    pub attestations: u64,
    /// Manifests that are no images, and stay as they are.
    pub left: u64,
}

impl std::ops::AddAssign for Changes {
    fn add_assign(&mut self, other: Self) {
        self.layers += other.layers;
        self.retyped += other.retyped;
        self.attestations += other.attestations;
        self.left += other.left;
    }
}

/// Sums over all that a [`crate::Copier`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of blobs and documents that were sent.
    pub bytes: u64,
    /// Blobs that were sent.
    pub copied: u64,
    /// Blobs that the targets had.
    pub existed: u64,
    /// Blobs that were mounted.
    pub mounted: u64,
    /// Manifests that refer to an image and were sent.
    pub referrers: u64,
}

/// The sums, while they grow.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    bytes: AtomicU64,
    copied: AtomicU64,
    existed: AtomicU64,
    mounted: AtomicU64,
    referrers: AtomicU64,
}

impl Sums {
    pub(crate) fn count(&self, event: &Event<'_>) {
        let (sum, bytes) = match event {
            Event::Sent { .. }
            | Event::Compressed { .. }
            | Event::Blob { outcome: Outcome::LeftToItsUrls, .. } => return,
            Event::Document { size, .. } => (None, *size),
            Event::Referrer { .. } => (Some(&self.referrers), 0),
            Event::Blob { blob, outcome: Outcome::Copied } => (Some(&self.copied), blob.size),
            Event::Blob { outcome: Outcome::Exists, .. } => (Some(&self.existed), 0),
            Event::Blob { outcome: Outcome::Mounted(_), .. } => (Some(&self.mounted), 0),
        };
        if let Some(sum) = sum {
            sum.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn summary(&self) -> Summary {
        let read = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        Summary {
            bytes: read(&self.bytes),
            copied: read(&self.copied),
            existed: read(&self.existed),
            mounted: read(&self.mounted),
            referrers: read(&self.referrers),
        }
    }
}
