//! The layer database: one entry a layer, which never changes once it is there.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use spec::{ChainId, DiffId, Digest};

use crate::cache::KnownLayer;
use crate::driver::{Driver, overlay2};
use crate::lock::Transaction;
use crate::paths::is_cache_id;
use crate::{Store, StoreError, files};

/// A layer, as its entry in the layer database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name: the hash of it and all below.
    pub chain_id: ChainId,
    /// The hash of its uncompressed tar.
    pub diff_id: DiffId,
    /// The layer right below.
    pub parent: Option<ChainId>,
    /// The size of its files in bytes, as dockerd counts it.
    pub size: u64,
    /// The name of its directory in the driver.
    pub cache_id: String,
    /// With the driver `packed`: the blob that it is in.
    pub blob: Option<Digest>,
}

/// A layer's place in its driver, in dockerd's words for `inspect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphDriver {
    /// The driver.
    pub name: String,
    /// `LowerDir`, `MergedDir`, `UpperDir`, `WorkDir`; nothing with the driver `packed`.
    pub data: BTreeMap<String, String>,
}

impl Store {
    /// Looks a layer up.
    pub fn layer(&self, chain: &ChainId) -> Result<Option<Layer>, StoreError> {
        let entry = self.paths().layer(chain);
        let Some(diff_id) = files::read_text(&entry.join("diff"))? else { return Ok(None) };
        let damaged = |name: &str| StoreError::damaged(entry.join(name), "it holds no digest");
        let cache_id = files::read_text(&entry.join("cache-id"))?.filter(|id| is_cache_id(id));
        let cache_id = cache_id
            .ok_or_else(|| StoreError::damaged(entry.join("cache-id"), "it names no directory"))?;
        let KnownLayer { parent, size } = read_known(&entry)?;
        let blob = self.layer_driver().blob(&entry)?;
        let diff_id = diff_id.parse().map_err(|_| damaged("diff"))?;
        Ok(Some(Layer { chain_id: chain.clone(), diff_id, parent, size, cache_id, blob }))
    }

    pub(crate) fn require_layer(&self, chain: &ChainId) -> Result<Layer, StoreError> {
        self.layer(chain)?.ok_or_else(|| StoreError::NoLayer(chain.clone()))
    }

    /// Looks a layer up that has an entry that can be read and its content: the directory where the driver unpacks, the
    /// blob where it does not. One that is damaged counts as missing.
    pub fn whole_layer(&self, chain: &ChainId) -> Result<Option<Layer>, StoreError> {
        let layer = match self.layer(chain) {
            Ok(Some(layer)) => layer,
            Ok(None) | Err(StoreError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let has_content = match &layer.blob {
            None => files::exists(&self.paths().overlay_layer(&layer.cache_id).join("diff"))?,
            Some(blob) => self.blob(blob)?.is_some(),
        };
        Ok(has_content.then_some(layer))
    }

    /// Removes what is left of a layer that is not whole, to make place for a new one.
    pub(crate) fn discard_layer(&self, _: &Transaction, chain: &ChainId) -> Result<(), StoreError> {
        let trash = self.paths().trash();
        if let Driver::Overlay2(_) = self.layer_driver()
            && let Ok(Some(layer)) = self.layer(chain)
        {
            self.disk().remove_tree(&self.paths().overlay_layer(&layer.cache_id), &trash)?;
        }
        self.disk().remove_tree(&self.paths().layer(chain), &trash)?;
        self.known_layers().forget(chain);
        Ok(())
    }

    /// Returns the size of a layer's files in bytes. Cheap when asked again.
    pub fn layer_size(&self, chain: &ChainId) -> Result<Option<u64>, StoreError> {
        Ok(self.known_layer(chain)?.map(|known| known.size))
    }

    /// Returns the directory of a layer's files; `None` if the layer is not there or not unpacked.
    pub fn layer_path(&self, chain: &ChainId) -> Result<Option<PathBuf>, StoreError> {
        let Driver::Overlay2(_) = self.layer_driver() else { return Ok(None) };
        let layer = self.layer(chain)?;
        Ok(layer.map(|layer| self.paths().overlay_layer(&layer.cache_id).join("diff")))
    }

    /// Returns the layers by their diff IDs. Their entries were not looked at any further.
    pub fn layers_by_diff_id(&self) -> Result<HashMap<DiffId, Vec<ChainId>>, StoreError> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        // dockerd's entries on the way out have other names.
        for chain in files::hashes(&self.paths().layers())?.into_iter().map(ChainId::new) {
            let diff_id = files::read_note(&self.paths().layer(&chain).join("diff"));
            if let Some(diff_id) = diff_id.and_then(|text| text.parse().ok()) {
                found.entry(diff_id).or_default().push(chain);
            }
        }
        Ok(found)
    }

    /// Opens the gzipped tar-split of a layer; `None` if the layer has none.
    pub fn tar_split(&self, chain: &ChainId) -> Result<Option<File>, StoreError> {
        let path = self.paths().layer(chain).join("tar-split.json.gz");
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if files::is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::io("open", path, error)),
        }
    }

    /// Says where the layer `chain`, the topmost of an image, is kept.
    pub fn graph_driver(&self, chain: &ChainId) -> Result<GraphDriver, StoreError> {
        let data = self.layer_driver().describe(&self.require_layer(chain)?.cache_id)?;
        Ok(GraphDriver { name: self.driver().to_string(), data })
    }

    /// Describes the driver in the words of `docker info`.
    pub fn driver_status(&self) -> Vec<(String, String)> {
        let backing = overlay2::backing_file_system(self.root());
        let mut status = vec![("Backing Filesystem".to_owned(), backing.to_owned())];
        if let Driver::Overlay2(_) = self.layer_driver() {
            // The driver is not used where this is not so, and writes `trusted.` attributes only.
            status.push(("Supports d_type".to_owned(), "true".to_owned()));
            status.push(("userxattr".to_owned(), "false".to_owned()));
        }
        status
    }

    pub(crate) fn known_layer(&self, chain: &ChainId) -> Result<Option<KnownLayer>, StoreError> {
        if let Some(known) = self.known_layers().get(chain) {
            return Ok(Some(known));
        }
        let entry = self.paths().layer(chain);
        if !files::exists(&entry)? {
            return Ok(None);
        }
        let read = read_known(&entry)?;
        self.known_layers().put(chain.clone(), read.clone());
        Ok(Some(read))
    }

    /// Lists all layers with their parents. dockerd's entries on the way out (`…-removing`) are not counted.
    pub(crate) fn layer_parents(&self) -> Result<BTreeMap<ChainId, Option<ChainId>>, StoreError> {
        let mut parents = BTreeMap::new();
        for chain in files::hashes(&self.paths().layers())?.into_iter().map(ChainId::new) {
            match self.known_layer(&chain) {
                Ok(Some(known)) => _ = parents.insert(chain, known.parent),
                Ok(None) => {}
                // Whatever else is damaged: what it stands on is still needed.
                Err(StoreError::Damaged { .. }) => {
                    let parent = files::read_text(&self.paths().layer(&chain).join("parent"))?;
                    parents.insert(chain, parent.and_then(|parent| parent.parse().ok()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(parents)
    }

    /// Lists the topmost layers of dockerd's containers and of mounted images.
    pub(crate) fn mounted_layers(&self) -> Result<Vec<ChainId>, StoreError> {
        let mounts = self.paths().mounts();
        let mut mounted = Vec::new();
        for name in files::names(&mounts)? {
            let path = mounts.join(name).join("parent");
            if let Some(parent) = files::read_text(&path)?.filter(|parent| !parent.is_empty()) {
                mounted.push(parent.parse().map_err(|error| StoreError::damaged(&path, error))?);
            }
        }
        mounted.extend(self.noted_layers()?);
        Ok(mounted)
    }
}

fn read_known(entry: &Path) -> Result<KnownLayer, StoreError> {
    let path = entry.join("size");
    let size = files::read_text(&path)?.unwrap_or_default();
    let size = size.parse().map_err(|error| StoreError::damaged(&path, error))?;
    let path = entry.join("parent");
    let parent = files::read_text(&path)?.map(|parent| parent.parse());
    let parent = parent.transpose().map_err(|error| StoreError::damaged(&path, error))?;
    Ok(KnownLayer { parent, size })
}
