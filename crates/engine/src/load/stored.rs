//! A file of an archive as the load has it: with its bytes at hand, or as a layer.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use spec::{ChainId, DiffId, Digest};
use store::{DriverKind, Lease, Store};

use super::arrived::Arrived;
use super::plain::{Place, PlainFile};
use crate::cancel::Cancelled;
use crate::error::BadArchive;
use crate::save::documents::named_digest;
use crate::{EngineError, Result};

/// A file of an archive.
#[derive(Clone, Debug)]
pub(super) enum StoredFile {
    Plain(PlainFile),
    Layer(Arc<Arrived>),
}

impl StoredFile {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Plain(file) => file.size(),
            Self::Layer(arrived) => arrived.size(),
        }
    }

    /// Returns the bytes that keeping it takes on the disk, beyond those that it has taken there.
    pub(super) fn bytes_to_copy(&self) -> u64 {
        match self {
            Self::Plain(file) => file.bytes_to_copy(),
            Self::Layer(arrived) => arrived.size(),
        }
    }

    /// Returns the bytes that unpacking it takes on the disk, at least.
    pub(super) fn bytes_to_unpack(&self) -> u64 {
        match self {
            Self::Plain(file) => file.size(),
            Self::Layer(_) => 0,
        }
    }

    /// Returns the layer that the file was unpacked to when it came.
    pub(super) fn arrived(&self) -> Option<&Arc<Arrived>> {
        match self {
            Self::Plain(_) => None,
            Self::Layer(arrived) => Some(arrived),
        }
    }

    /// Has the bytes at hand; `wanted` is the name by which a failure tells of them. Blocking.
    pub(super) fn plain(
        &self,
        (store, lease): (&Store, &Lease),
        wanted: &Digest,
        cancelled: &Cancelled,
    ) -> Result<PlainFile> {
        match self {
            Self::Plain(file) => Ok(file.clone()),
            Self::Layer(arrived) => {
                Ok(PlainFile::Disk(arrived.spill((store, lease), wanted, cancelled)?))
            }
        }
    }

    /// Reads a file of at most `max` bytes.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Bytes> {
        match self {
            Self::Plain(file) => file.read(name, max),
            Self::Layer(_) => Err(EngineError::BadArchive(BadArchive::Layer(name.to_owned()))),
        }
    }
}

/// The layers of the store by their diff IDs, once somebody has asked for one.
#[derive(Debug, Default)]
pub(super) struct KnownLayers(Option<HashMap<DiffId, Vec<ChainId>>>);

impl KnownLayers {
    /// Finds what the store has of a file that is named by its digest, and holds it: a blob, or of a tar the layer. The file need not be
    /// looked at then. Blocking.
    pub(super) fn find(
        &mut self,
        (store, lease): (&Store, &Lease),
        path: &[u8],
        size: u64,
        prefix: &[u8],
    ) -> Result<Option<StoredFile>> {
        let Some(digest) = digest_in(path) else { return Ok(None) };
        if store.blob(&digest)?.is_some_and(|blob| blob.size == size) {
            lease.hold_blob(&digest)?;
            let blob = store.blob(&digest)?;
            // One that cannot be opened is none.
            if let Some(file) = blob.and_then(|blob| File::open(blob.path).ok()) {
                let place = Place { file: Arc::new(file), start: 0, size };
                return Ok(Some(StoredFile::Plain(PlainFile::Place(place))));
            }
        }
        if store.driver() != DriverKind::Overlay2 || !archive::is_tar(prefix) {
            return Ok(None);
        }
        let known = match &mut self.0 {
            Some(known) => known,
            none => none.insert(store.layers_by_diff_id()?),
        };
        let diff_id = DiffId::new(digest);
        for chain in known.get(&diff_id).into_iter().flatten() {
            lease.hold_layer(chain)?;
            if store.whole_layer(chain)?.is_none() {
                continue;
            }
            // A file that is not as large as its tar is another, whatever its name says.
            let tar_split = store.tar_split(chain)?;
            let tar_size = tar_split.and_then(|tar_split| archive::rebuilt_size(tar_split).ok());
            if tar_size == Some(size) {
                let here = Arrived::here(size, chain.clone(), diff_id);
                return Ok(Some(StoredFile::Layer(Arc::new(here))));
            }
        }
        Ok(None)
    }
}

/// Returns the digest that a file is named by: of a blob, or as podman and skopeo name layers.
fn digest_in(path: &[u8]) -> Option<Digest> {
    let path = std::str::from_utf8(path).ok()?;
    named_digest(path).or_else(|| format!("sha256:{}", path.strip_suffix(".tar")?).parse().ok())
}
