//! A layer that is being unpacked.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spec::{ChainId, DiffId, Digest};

use crate::disk::{Disk, Durability};
use crate::{Store, StoreError};

/// A layer that nobody else sees yet.
///
/// ```text
/// staging/<lease>.<cache id>/layer/diff        becomes overlay2/<cache id>/diff
/// staging/<lease>.<cache id>/entry/            becomes layerdb/sha256/<chain id>/
/// ```
///
/// Dropped without a commit it is deleted; should the process die, the next start does so.
#[derive(Debug)]
pub struct StagedLayer {
    store: Store,
    directory: PathBuf,
    diff: PathBuf,
    cache_id: String,
    durability: Arc<Durability>,
}

/// A layer after it was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRecord {
    /// The hash of its uncompressed tar.
    pub diff_id: DiffId,
    /// The layer right below.
    pub parent: Option<ChainId>,
    /// The size of its files in bytes.
    pub size: u64,
    /// The compressed layer; the driver `packed` needs it.
    pub blob: Option<Digest>,
}

impl StagedLayer {
    /// Makes the directories of a layer in `directory`, but for what the driver adds.
    pub(super) fn new(
        store: &Store,
        directory: PathBuf,
        cache_id: String,
        durability: Arc<Durability>,
    ) -> Result<Self, StoreError> {
        store.disk().make_dir(&directory, 0o700)?;
        let diff = directory.join("layer/diff");
        let staged = Self { store: store.clone(), directory, diff, cache_id, durability };
        staged.disk().make_dir(&staged.entry(), 0o700)?;
        Ok(staged)
    }

    /// Returns the directory to unpack into. With the driver `packed` nothing is unpacked and there is none.
    pub fn path(&self) -> &Path {
        &self.diff
    }

    /// Creates the file that takes the gzipped tar-split of the layer, from which its tar is rebuilt. `packed` has no use
    /// for one.
    pub fn tar_split(&self) -> Result<File, StoreError> {
        self.disk().create_new(&self.tar_split_path(), 0o644)
    }

    /// Opens what was written to [`StagedLayer::tar_split`].
    pub fn written_tar_split(&self) -> Result<File, StoreError> {
        let path = self.tar_split_path();
        File::open(&path).map_err(|error| StoreError::io("open", path, error))
    }

    fn tar_split_path(&self) -> PathBuf {
        self.entry().join("tar-split.json.gz")
    }

    /// Returns what is told of failed writes since before the layer was written.
    pub(crate) fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    pub(crate) fn disk(&self) -> &Disk {
        self.store.disk()
    }

    pub(crate) fn cache_id(&self) -> &str {
        &self.cache_id
    }

    /// The directory that becomes the driver's.
    pub(crate) fn layer(&self) -> PathBuf {
        self.directory.join("layer")
    }

    /// The directory that becomes the entry of the layer database.
    pub(crate) fn entry(&self) -> PathBuf {
        self.directory.join("entry")
    }
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        let trash = self.store.paths().trash();
        if let Err(error) = self.disk().remove_tree(&self.directory, &trash) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "staged layer not removed, the next start will do it");
        }
    }
}
