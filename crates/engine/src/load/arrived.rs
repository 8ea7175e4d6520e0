//! A file of an archive that need not be written, or not as it is: it is here already, or a layer that is unpacked while the archive
//! arrives.
//!
//! Most archives tell in the end whose layers they have. Until then a file that looks like one is a staged layer of nobody: it is taken by
//! the first layer that turns out to be made of it, put together again for whoever needs its bytes, and deleted if nobody does.

use std::io::{Read, Write};
use std::sync::Mutex;

use archive::{ArchiveError, Compression, EntryContent, Unpacked};
use spec::{Algorithm, ChainId, DiffId, Digest};
use store::{HashingReader, Lease, StagedFile, StagedLayer, Store};

use super::plain::{not_taken_in, shortage};
use crate::cancel::Cancelled;
use crate::error::{BadArchive, Missing};
use crate::lock::lock;
use crate::space::{self, apply_options};
use crate::{EngineError, Result};

/// The first bytes of a file by which it is told what it is: the header of a tar.
pub(super) const PREFIX: u64 = 512;

/// A layer that was unpacked when its file came, or could not be, or was here before.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The size of the file in bytes.
    size: u64,
    /// False if it was compressed: its bytes are gone.
    is_plain: bool,
    state: Mutex<State>,
    /// Its bytes, once somebody needed them.
    spilled: Mutex<Option<StagedFile>>,
}

#[derive(Debug)]
enum State {
    /// With the digest of the file.
    Staged(StagedLayer, Unpacked, Digest),
    /// It is in the store as this layer, or about to be.
    Here(ChainId, DiffId),
    /// Told to the first who wants it.
    Failed(Option<ArchiveError>),
}

/// Says whether a file of an archive is unpacked when it comes: if it begins as a layer does, and nobody can want its bytes and not have
/// them. Those of a compressed tar are gone afterwards, and may be a blob of an image layout; other names claim no digest of them.
pub(super) fn is_unpacked_at_once(path: &[u8], prefix: &[u8]) -> bool {
    let is_blob = path.starts_with(b"blobs/");
    match Compression::detect(prefix) {
        Compression::None => {
            archive::is_tar(prefix) && (!is_blob || path.starts_with(b"blobs/sha256/"))
        }
        _ => !is_blob,
    }
}

impl Arrived {
    /// A tar of `size` bytes whose layer is in the store and held.
    pub(super) fn here(size: u64, chain: ChainId, diff_id: DiffId) -> Self {
        Self::new(size, true, State::Here(chain, diff_id))
    }

    /// Unpacks the file that begins with `prefix`. Blocking.
    ///
    /// What is no layer is passed over and told to who takes it for one.
    pub(super) fn unpack(
        store: &Store,
        lease: &Lease,
        (prefix, content): (&[u8], &mut EntryContent<'_, '_>),
        size: u64,
        cancelled: &Cancelled,
    ) -> Result<Self> {
        let staged = store.stage(lease)?;
        let options = apply_options(store)?;
        let split = staged.tar_split()?;
        let source = cancelled.clone().guard(prefix.chain(content));
        let is_plain = Compression::detect(prefix) == Compression::None;
        let unpacked = if is_plain {
            let unpacked = archive::unpack(source, staged.path(), split, None, &options, &|_| {});
            unpacked.map(|unpacked| (unpacked.applied.diff_id.digest().clone(), unpacked))
        } else {
            let mut source = HashingReader::new(source, Algorithm::Sha256);
            let path = staged.path();
            let unpacked = archive::unpack(&mut source, path, split, None, &options, &|_| {});
            unpacked.map(|unpacked| (source.finish().0, unpacked))
        };
        let state = match unpacked {
            Ok((digest, unpacked)) => State::Staged(staged, unpacked, digest),
            Err(error) => {
                cancelled.check()?;
                if let Some(shortage) = shortage(store, &error) {
                    return Err(shortage);
                }
                State::Failed(Some(error))
            }
        };
        Ok(Self::new(size, is_plain, state))
    }

    fn new(size: u64, is_plain: bool, state: State) -> Self {
        Self { size, is_plain, state: Mutex::new(state), spilled: Mutex::default() }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Says whether the bytes that came can be had.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Takes the layer, to be published as `chain`; `None` if somebody else has. `digest` is the name by which a failure tells of it.
    pub(super) fn take(
        &self,
        store: &Store,
        chain: &ChainId,
        digest: &Digest,
    ) -> Result<Option<(StagedLayer, Unpacked, Digest)>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Failed(None)) {
            State::Staged(staged, unpacked, file) => {
                *state = State::Here(chain.clone(), unpacked.applied.diff_id.clone());
                Ok(Some((staged, unpacked, file)))
            }
            here @ State::Here(..) => {
                *state = here;
                Ok(None)
            }
            State::Failed(error) => Err(failed(store, digest, error)),
        }
    }

    /// Says whether the layer is nobody's yet; fails as [`Arrived::take`] does.
    pub(super) fn is_free(&self, store: &Store, digest: &Digest) -> Result<bool> {
        match &mut *lock(&self.state) {
            State::Staged(..) => Ok(true),
            State::Here(..) => Ok(false),
            State::Failed(error) => Err(failed(store, digest, error.take())),
        }
    }

    /// Puts the tar together again, aside, for the first who asks. `wanted` is the name by which a failure tells of it. Blocking.
    pub(super) fn spill(
        &self,
        (store, lease): (&Store, &Lease),
        wanted: &Digest,
        cancelled: &Cancelled,
    ) -> Result<StagedFile> {
        let mut spilled = lock(&self.spilled);
        // It has another place once it was published as a blob.
        if let Some(file) = &*spilled
            && file.open().is_ok()
        {
            return Ok(file.clone());
        }
        let file = self.rebuild((store, lease), wanted, cancelled)?;
        Ok(spilled.insert(file).clone())
    }

    fn rebuild(
        &self,
        (store, lease): (&Store, &Lease),
        wanted: &Digest,
        cancelled: &Cancelled,
    ) -> Result<StagedFile> {
        let mut file = store.staged_file(lease)?;
        // Nobody takes it meanwhile.
        let mut state = lock(&self.state);
        let (root, tar_split, diff_id) = match &mut *state {
            State::Staged(staged, unpacked, _) => {
                let diff_id = &unpacked.applied.diff_id;
                (staged.path().to_owned(), staged.written_tar_split()?, diff_id)
            }
            State::Here(chain, diff_id) => {
                let gone = || EngineError::Missing(Missing::Layer(chain.clone()));
                let root = store.layer_path(chain)?.ok_or_else(gone)?;
                (root, store.tar_split(chain)?.ok_or_else(gone)?, &*diff_id)
            }
            State::Failed(error) => {
                return Err(gone_by(wanted, failed(store, wanted, error.take())));
            }
        };
        let digest = diff_id.digest();
        let rebuilt = archive::rebuild(tar_split, &root, cancelled.clone().guard(&mut file));
        cancelled.check()?;
        let rebuilt = rebuilt.map_err(|error| match error {
            error @ ArchiveError::Sink(_) => not_taken_in(store, error),
            source => gone_by(wanted, EngineError::ReadLayer { digest: digest.clone(), source }),
        })?;
        if rebuilt != *diff_id {
            let (digest, detail) =
                (digest.clone(), format!("the layer's directory gives {rebuilt}"));
            let fault = EngineError::LayerVerification { digest, detail };
            return Err(gone_by(wanted, fault));
        }
        file.flush().map_err(|error| not_taken_in(store, ArchiveError::Sink(error)))?;
        Ok(file.finish())
    }
}

fn gone_by(wanted: &Digest, fault: EngineError) -> EngineError {
    let (digest, source) = (wanted.clone(), Box::new(fault));
    EngineError::BadArchive(BadArchive::GoneBy { digest, source })
}

fn failed(store: &Store, digest: &Digest, error: Option<ArchiveError>) -> EngineError {
    // Whoever was told first ends the load.
    error.map_or(EngineError::Cancelled, |error| {
        space::layer_failed("register", digest, store.root(), error)
    })
}
