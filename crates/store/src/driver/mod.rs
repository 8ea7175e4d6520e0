//! Drivers: the ways to keep the files of layers.
//!
//! A layer has an entry in the layer database with each of them; beside it, `overlay2` has a directory, and `packed` the blob.

mod choice;
mod kind;
pub(crate) mod overlay2;
pub(crate) mod packed;
mod remap;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use spec::{ChainId, Digest};

pub(crate) use self::choice::choose;
pub use self::kind::{DriverKind, UnknownDriver};
use self::overlay2::{Below, Overlay2};
use self::packed::Packed;
use crate::collect::trash::Trash;
use crate::{LayerRecord, StagedLayer, Store, StoreError};

/// The driver of a data root. What only one of them can do is reached by its variant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver<'a> {
    Overlay2(Overlay2<'a>),
    Packed(Packed<'a>),
}

impl Store {
    pub(crate) fn layer_driver(&self) -> Driver<'_> {
        match self.driver() {
            DriverKind::Overlay2 => Driver::Overlay2(Overlay2::new(self.disk(), self.paths())),
            DriverKind::Packed => Driver::Packed(Packed::new(self.paths())),
        }
    }
}

impl Driver<'_> {
    /// Lists the directories that the driver needs in the data root, with dockerd's modes.
    pub(crate) fn directories(self) -> Vec<(PathBuf, u32)> {
        match self {
            Self::Overlay2(overlay) => overlay.directories(),
            Self::Packed(_) => Vec::new(),
        }
    }

    /// Makes the directory that a layer is unpacked into.
    pub(crate) fn stage(self, staged: &StagedLayer) -> Result<(), StoreError> {
        match self {
            Self::Overlay2(overlay) => overlay.stage(staged),
            Self::Packed(_) => Ok(()),
        }
    }

    /// Completes a staged layer, before all is synced.
    pub(crate) fn prepare(
        self,
        chain: &ChainId,
        staged: &StagedLayer,
        record: &LayerRecord,
        below: Option<&Below<'_>>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Overlay2(overlay) => overlay.prepare(staged, below),
            Self::Packed(_) => {
                let blob = record.blob.as_ref();
                packed::prepare(staged, blob.ok_or_else(|| StoreError::NoLayer(chain.clone()))?)
            }
        }
    }

    /// Puts the files of a prepared and synced layer where they belong. The layer database does not know it yet.
    pub(crate) fn publish(
        self,
        staged: &StagedLayer,
        record: &LayerRecord,
        parent_cache_id: Option<&str>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Overlay2(overlay) => overlay.publish(staged, parent_cache_id),
            Self::Packed(packed) => packed.require(record.blob.as_ref()),
        }
    }

    /// Makes the names of published files last.
    pub(crate) fn sync_names(self) -> Result<(), StoreError> {
        match self {
            Self::Overlay2(overlay) => overlay.sync_names(),
            Self::Packed(_) => Ok(()),
        }
    }

    /// Takes the files of a layer away that no entry of the layer database names any more. A blob is removed as blobs are.
    pub(crate) fn remove(self, cache_id: &str, trash: &mut Trash) -> Result<(), StoreError> {
        match self {
            Self::Overlay2(overlay) => overlay.remove(cache_id, trash),
            Self::Packed(_) => Ok(()),
        }
    }

    /// Returns the blob that is the content of the layer with this entry.
    pub(crate) fn blob(self, entry: &Path) -> Result<Option<Digest>, StoreError> {
        match self {
            Self::Overlay2(_) => Ok(None),
            Self::Packed(_) => packed::blob(entry).map(Some),
        }
    }

    /// Returns what dockerd shows of a layer's directories.
    pub(crate) fn describe(self, cache_id: &str) -> Result<BTreeMap<String, String>, StoreError> {
        match self {
            Self::Overlay2(overlay) => overlay.describe(cache_id),
            Self::Packed(_) => Ok(BTreeMap::new()),
        }
    }
}
