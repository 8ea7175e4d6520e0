//! The document of an archive that leaves layers out: which, and of which images its receiver has them.
//!
//! It lies beside `manifest.json`, where everybody but a load of ours passes it over.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use spec::{ChainId, ImageId, Reference};
use store::{Lease, Store};

use super::select::select;
use crate::{EngineError, Result};

/// The name of the document in an archive.
pub(crate) const LEFT_OUT: &str = "longshore-left-out.json";
/// The largest such document: an archive of 100,000 entries could leave out 30,000 layers.
pub(crate) const MAX_LEFT_OUT: u64 = 16 << 20;

/// The files that are left out of an archive.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LeftOut {
    /// The images that its receiver has.
    pub(crate) since: Vec<BaseImage>,
    /// By their paths in the archive, the files of their layers.
    pub(crate) files: BTreeMap<String, LeftOutFile>,
}

/// An image that the receiver of an archive has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BaseImage {
    pub(crate) id: ImageId,
    /// The tags and repo digests that it had where the archive was made.
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

/// A file that is not in the archive.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct LeftOutFile {
    /// Its size in bytes.
    pub(crate) size: u64,
    /// The image whose layer it is, by its place in `since`.
    pub(crate) of: usize,
}

/// The images that the receiver of an archive has, and their layers.
#[derive(Debug, Default)]
pub(super) struct Base {
    images: Vec<BaseImage>,
    /// The first image that has a layer.
    layers: HashMap<ChainId, usize>,
}

impl Base {
    /// Finds the images that `names` mean, and holds them. Blocking.
    pub(super) fn find(store: &Store, lease: &Lease, names: &[String]) -> Result<Self> {
        let mut base = Self::default();
        let references = store.references()?;
        for selected in select(store, lease, names)? {
            let missing = || EngineError::NoSuchImage(selected.id.to_string());
            let image = store.image(&selected.id)?.ok_or_else(missing)?;
            for chain in &image.layers {
                base.layers.entry(chain.clone()).or_insert(base.images.len());
            }
            // The name that it was called by comes first: the others may be unknown where the archive is loaded.
            let mut names: Vec<&Reference> =
                selected.tags.iter().chain(&selected.digests).collect();
            for other in references.of_image(&selected.id) {
                if !names.contains(&other) {
                    names.push(other);
                }
            }
            let names = names.into_iter().map(Reference::familiar).collect();
            base.images.push(BaseImage { id: selected.id, names });
        }
        Ok(base)
    }

    /// Returns the place of the image that has a layer.
    pub(super) fn has(&self, chain: &ChainId) -> Option<usize> {
        self.layers.get(chain).copied()
    }

    /// Makes the document, if there is a base at all.
    pub(super) fn document(self, files: BTreeMap<String, LeftOutFile>) -> Option<LeftOut> {
        (!self.images.is_empty()).then_some(LeftOut { since: self.images, files })
    }
}
