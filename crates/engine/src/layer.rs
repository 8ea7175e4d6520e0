//! A layer on its way into the store, as it comes: from a registry, a kept blob or an archive.

use std::io::Read;

use archive::Unpacked;
use spec::Digest;
use store::{DriverKind, StagedLayer, Store};

use crate::space::{self, MAX_TAR_SIZE};
use crate::{EngineError, Result};

/// Unpacks a layer to where the driver wants it, or only looks through it if the driver keeps the blob instead. Blocking.
///
/// `digest` is the name by which a failure tells of it.
pub(crate) fn unpack(
    store: &Store,
    staged: &StagedLayer,
    source: impl Read + Send,
    digest: &Digest,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked> {
    match store.driver() {
        DriverKind::Packed => inspect(store, source, digest, progress),
        DriverKind::Overlay2 => {
            let options = space::apply_options(store)?;
            let tar_split = staged.tar_split()?;
            archive::unpack(source, staged.path(), tar_split, None, &options, progress)
                .map_err(failed(store, digest))
        }
    }
}

/// Looks through a layer: what unpacking it would find out. Blocking.
pub(crate) fn inspect(
    store: &Store,
    source: impl Read + Send,
    digest: &Digest,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked> {
    archive::inspect_compressed(source, None, Some(MAX_TAR_SIZE), progress)
        .map_err(failed(store, digest))
}

fn failed(store: &Store, digest: &Digest) -> impl FnOnce(archive::ArchiveError) -> EngineError {
    |error| space::layer_failed("register", digest, store.root(), error)
}
