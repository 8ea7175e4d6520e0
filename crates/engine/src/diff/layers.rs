//! The files of layers, each layer read once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use archive::{ArchiveError, ContentHash, FileKind, LayerFile, LayerFiles, Room};
use spec::{ChainId, DiffId};
use store::{Image, Store};

use crate::cancel::Cancelled;
use crate::error::Missing;
use crate::space::MAX_TAR_SIZE;
use crate::{EngineError, Result};

/// The memory that the files of two images may take: the largest images have some hundred thousand files, of half a kilobyte each.
const MAX_MEMORY: usize = 1 << 30;

/// A path from the root, without a slash at its beginning.
pub(super) type FilePath = Arc<[u8]>;
/// The files of a layer, a directory before what is in it.
pub(super) type Files = Rc<[(FilePath, Arc<LayerFile>)]>;

/// The layers that were read.
pub(super) struct Layers<'a> {
    store: &'a Store,
    cancelled: Cancelled,
    room: Room,
    /// By number: chain ID and diff ID.
    known: Vec<(ChainId, DiffId)>,
    /// By diff ID: the number, and the files.
    read: HashMap<DiffId, (usize, Files)>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(store: &'a Store, cancelled: Cancelled) -> Self {
        let room = Room::new(MAX_MEMORY);
        Self { store, cancelled, room, known: Vec::new(), read: HashMap::new() }
    }

    /// Reads a layer of an image, by its place in that. Returns its number, and the files.
    pub(super) fn files(&mut self, image: &Image, place: usize) -> Result<(usize, Files)> {
        let (chain, diff_id) = (&image.layers[place], &image.config.value().rootfs.diff_ids[place]);
        if let Some((number, files)) = self.read.get(diff_id) {
            return Ok((*number, Rc::clone(files)));
        }
        self.cancelled.check()?;
        let files = self.list(chain, diff_id, &BTreeSet::new())?;
        let files: Files = files.into_iter().map(|(path, file)| (path.into(), file)).collect();
        let number = self.known.len();
        self.known.push((chain.clone(), diff_id.clone()));
        self.read.insert(diff_id.clone(), (number, Rc::clone(&files)));
        Ok((number, files))
    }

    /// Hashes files of the layer `number`, given with their sizes in bytes.
    pub(super) fn hashes(
        &mut self,
        number: usize,
        wanted: &BTreeMap<FilePath, u64>,
    ) -> Result<HashMap<FilePath, ContentHash>> {
        let (chain, diff_id) = self.known[number].clone();
        let mut hashes = HashMap::new();
        if let Some(root) = self.store.layer_path(&chain)? {
            for path in wanted.keys() {
                let hash = archive::hash_file(&root, path, || !self.cancelled.is_set());
                let hash = hash.map_err(|error| self.failed(&diff_id, error))?;
                hashes.insert(Arc::clone(path), hash);
            }
            return Ok(hashes);
        }
        let sizes: BTreeSet<u64> = wanted.values().copied().collect();
        for (path, file) in self.list(&chain, &diff_id, &sizes)? {
            if let FileKind::File { hash: Some(hash), .. } = file.kind
                && let Some((path, _)) = wanted.get_key_value(&*path)
            {
                hashes.insert(Arc::clone(path), hash);
            }
        }
        Ok(hashes)
    }

    fn list(
        &mut self,
        chain: &ChainId,
        diff_id: &DiffId,
        sizes: &BTreeSet<u64>,
    ) -> Result<LayerFiles> {
        let missing = || EngineError::Missing(Missing::WholeLayer(chain.clone()));
        let listed = match self.store.whole_layer(chain)?.ok_or_else(missing)?.blob {
            None => {
                let tar_split = self.store.tar_split(chain)?.ok_or_else(missing)?;
                archive::list_split(self.cancelled.clone().guard(tar_split), &mut self.room)
            }
            Some(digest) => {
                let blob = self.store.blob(&digest)?.ok_or_else(missing)?;
                let failed = |source| EngineError::Open { path: blob.path.clone(), source };
                let file = File::open(&blob.path).map_err(failed)?;
                let file = self.cancelled.clone().guard(file);
                archive::list_compressed(file, MAX_TAR_SIZE, sizes, &mut self.room)
            }
        };
        listed.map_err(|error| self.failed(diff_id, error))
    }

    fn failed(&self, diff_id: &DiffId, source: ArchiveError) -> EngineError {
        if self.cancelled.is_set() {
            return EngineError::Cancelled;
        }
        EngineError::ReadLayer { digest: diff_id.digest().clone(), source }
    }
}
