//! Conversions of one run: no layer is compressed twice, and not too many at once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use archive::Encoding;
use spec::{Descriptor, DiffId, Digest};
use tokio::sync::{OnceCell, Semaphore};

use super::Conversion;
use super::layer::{Recompressed, Resources};
use crate::lock::lock;
use crate::progress::Changes;

/// Layers that are compressed or on their way at once: each takes a file of its size, and memory for its codecs' windows.
const AT_ONCE: usize = 4;

/// A layer in another compression.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) layer: Descriptor,
    pub(crate) diff_id: DiffId,
    pub(crate) source: Arc<Recompressed>,
}

/// A document that is at a target with other bytes.
#[derive(Debug)]
pub(crate) struct Converted {
    pub(crate) document: Descriptor,
    pub(crate) changes: Changes,
}

type Layers = HashMap<(Encoding, Digest), Arc<OnceCell<Made>>>;
type Documents = HashMap<(String, Conversion, Digest), Arc<OnceCell<Converted>>>;

/// The conversions of one run.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) resources: Resources,
    layers: Mutex<Layers>,
    documents: Mutex<Documents>,
}

impl Memory {
    /// Begins a run, whose files go into the folder `scratch`.
    pub(crate) fn new(scratch: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(AT_ONCE);
        Self {
            slots: Arc::new(Semaphore::new(cores)),
            resources: Resources { threads: cores, scratch },
            layers: Mutex::default(),
            documents: Mutex::default(),
        }
    }

    /// Returns what became of a layer: set by whoever compresses it.
    pub(crate) fn layer(&self, encoding: Encoding, layer: &Digest) -> Arc<OnceCell<Made>> {
        Arc::clone(lock(&self.layers).entry((encoding, layer.clone())).or_default())
    }

    /// Returns what became of a document at a place: set by whoever brings it there.
    pub(crate) fn document(
        &self,
        place: String,
        conversion: Conversion,
        document: &Digest,
    ) -> Arc<OnceCell<Converted>> {
        let key = (place, conversion, document.clone());
        Arc::clone(lock(&self.documents).entry(key).or_default())
    }
}
