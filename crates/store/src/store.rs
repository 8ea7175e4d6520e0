//! The handle of an open data root: where it is, and what was read of it.
//!
//! The rooms are handed it and add methods of their own to it. It knows none of them, only what it keeps for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use spec::{ChainId, Digest};

use crate::cache::KnownLayer;
use crate::cache::bounded::Bounded;
use crate::cache::catalog::Catalog;
use crate::cache::images::ImageCache;
use crate::cache::snapshot::{MAX_DOCUMENT, Snapshot};
use crate::content::ContentIndex;
use crate::disk::Disk;
use crate::dockerd::DockerdLock;
use crate::images::references::References;
use crate::mutex::lock;
use crate::paths::Paths;
use crate::{DriverKind, StoreError};

/// Bound of the memory for layers' parents and sizes: 65,536 layers take about 15 MB.
const MAX_LAYERS: usize = 1 << 16;
/// Bound of the memory for what manifests mention: 16,384 manifests of ten layers take about 15 MB.
const MAX_LINKS: usize = 1 << 14;

/// A data root. Clones share what they have read.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Disk,
    paths: Paths,
    driver: DriverKind,
    keep_blobs: bool,
    dockerd: DockerdLock,
    references: Snapshot<References>,
    content_index: Snapshot<ContentIndex>,
    images: ImageCache,
    layers: Bounded<ChainId, KnownLayer>,
    links: Bounded<Digest, Arc<[Digest]>>,
    catalog: Mutex<Catalog>,
}

impl Store {
    pub(crate) fn new(
        disk: Disk,
        (root, driver): (PathBuf, DriverKind),
        keep_blobs: bool,
        dockerd: DockerdLock,
    ) -> Self {
        Self(Arc::new(Inner {
            disk,
            paths: Paths::new(root, driver),
            driver,
            // Of a packed layer the blob is the only copy.
            keep_blobs: keep_blobs || driver == DriverKind::Packed,
            dockerd,
            references: Snapshot::new(MAX_DOCUMENT),
            content_index: Snapshot::new(MAX_DOCUMENT),
            images: ImageCache::default(),
            layers: Bounded::new(MAX_LAYERS),
            links: Bounded::new(MAX_LINKS),
            catalog: Mutex::default(),
        }))
    }

    /// Returns how layers are kept.
    pub fn driver(&self) -> DriverKind {
        self.0.driver
    }

    /// Fails if an image of so many layers is more than the driver takes.
    pub fn check_depth(&self, layers: usize) -> Result<(), StoreError> {
        match self.driver().max_layers() {
            Some(limit) if layers > limit => Err(StoreError::MaxDepth),
            _ => Ok(()),
        }
    }

    /// Returns the data root, absolute and without symbolic links.
    pub fn root(&self) -> &Path {
        self.0.paths.root()
    }

    /// Says whether the compressed layers of a pull stay.
    pub fn keep_blobs(&self) -> bool {
        self.0.keep_blobs
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.0.disk
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.0.paths
    }

    pub(crate) fn dockerd(&self) -> &DockerdLock {
        &self.0.dockerd
    }

    pub(crate) fn reference_snapshot(&self) -> &Snapshot<References> {
        &self.0.references
    }

    pub(crate) fn content_snapshot(&self) -> &Snapshot<ContentIndex> {
        &self.0.content_index
    }

    pub(crate) fn image_cache(&self) -> &ImageCache {
        &self.0.images
    }

    pub(crate) fn known_layers(&self) -> &Bounded<ChainId, KnownLayer> {
        &self.0.layers
    }

    pub(crate) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        lock(&self.0.catalog)
    }

    pub(crate) fn known_links(&self) -> &Bounded<Digest, Arc<[Digest]>> {
        &self.0.links
    }

    /// Returns how many bytes the file system of the data root has room for.
    pub fn free_space(&self) -> Result<u64, StoreError> {
        Ok(self.room()?.bytes)
    }

    /// Has what was written so far go to the disk, so that the sync of a commit finds less to do. A failure is told to that one.
    pub fn write_back(&self) {
        if let Err(error) = self.disk().write_back(self.root()) {
            tracing::warn!(%error, root = %self.root().display(), "the disk failed to write");
        }
    }
}
