//! The registry's folder. Everything here blocks and belongs on a blocking thread.

mod blob;
mod catalog;
mod manifest;
mod publish;
mod sweep;
mod upload;

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spec::{Digest, Tag};

use crate::error::{IoContext as _, ServerError};
use crate::name::RepositoryName;

pub(crate) use manifest::{About, Lacking, Reference, StoredManifest, digest_of};
pub(crate) use upload::{Finished, Upload, UploadId};

/// The moment from which a file counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// On the disk: what was acknowledged survives a loss of power.
    #[default]
    Synced,
    /// With the kernel: what was acknowledged survives the death of the server. For tests.
    Cached,
}

/// As many as there are cores to wait for one another, roughly; two repositories that share one
/// only wait a moment.
const LOCKS: usize = 64;

/// The folder of one registry.
#[derive(Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    durability: Durability,
    /// Guards what a repository's entries say about one another: a manifest is not accepted while
    /// a blob that it needs is being deleted. By the hash of the repository's name.
    locks: [Mutex<()>; LOCKS],
    hashes: RandomState,
    /// The exclusive lock of the folder lives as long as this file is open.
    _lock: File,
}

impl Storage {
    /// Opens the folder, creating it if it is not there, and sweeps what an earlier server left.
    pub(crate) fn open(root: PathBuf, durability: Durability) -> Result<Storage, ServerError> {
        std::fs::create_dir_all(&root).context("create", &root)?;
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .context("open", &path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ServerError::InUse { root }),
            Err(TryLockError::Error(source)) => return Err(source).context("lock", &path),
        }
        let storage = Storage {
            root,
            durability,
            locks: std::array::from_fn(|_| Mutex::new(())),
            hashes: RandomState::new(),
            _lock: lock,
        };
        for folder in ["tmp", "blobs", "repositories"] {
            storage.create_folder(&storage.root.join(folder))?;
        }
        storage.sweep()?;
        Ok(storage)
    }

    /// Holds the entries of a repository still. Nothing panics halfway through a change that the
    /// next holder could not live with, so a poisoned lock is taken as it is.
    fn hold(&self, repository: &RepositoryName) -> MutexGuard<'_, ()> {
        let hash = self.hashes.hash_one(repository);
        let index = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        self.locks[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("tmp").join(random_name())
    }

    fn content(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
    }

    fn repository(&self, repository: &RepositoryName) -> PathBuf {
        self.root.join("repositories").join(repository.as_str())
    }

    fn layer(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        entry(&self.repository(repository).join("_layers"), digest)
    }

    fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        entry(&self.repository(repository).join("_manifests"), digest)
    }

    fn tags(&self, repository: &RepositoryName) -> PathBuf {
        self.repository(repository).join("_tags")
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tags(repository).join(tag.as_str())
    }

    fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> PathBuf {
        entry(&self.repository(repository).join("_referrers"), subject)
    }
}

fn entry(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(digest.algorithm().as_str()).join(digest.hex())
}

/// 32 hex digits that no other file has. Two keys of the process's random hasher: unique, though
/// not a secret, which nothing here needs.
fn random_name() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

/// Turns the absence of a file into `None`.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
