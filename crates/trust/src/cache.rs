//! The documents of a repository that were seen before, where docker keeps them, too.
//!
//! They are the memory of trust: the root that is believed, and versions below which nothing is. Each is replaced at
//! once, and only one process at a time does what may replace several.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::{Role, TrustError};

/// The cache of one repository.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    /// Held as long as this lives.
    _lock: File,
}

impl Cache {
    /// Opens the cache of a repository below a trust directory, and waits for whoever else has it open. The name is one
    /// of a reference, so that it leads nowhere else.
    pub fn open(trust: &Path, repository: &str) -> Result<Cache, TrustError> {
        let home = trust.join("tuf").join(repository);
        let directory = home.join("metadata");
        make_directory(&directory)?;
        let path = home.join(".longshore.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed(&path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(&path)(error.into()))?;
        Ok(Cache { directory, _lock: lock })
    }

    fn path(&self, role: &Role) -> PathBuf {
        self.directory.join(format!("{role}.json"))
    }

    /// Returns a document, if it is here and not larger than it may be.
    pub(crate) fn get(&self, role: &Role, most: u64) -> Option<Vec<u8>> {
        read(&self.path(role), most).ok()?
    }

    /// Returns the root, which is what is trusted: one that cannot be read is not the same as none.
    pub(crate) fn root(&self, most: u64) -> Result<Option<Vec<u8>>, TrustError> {
        let path = self.path(&Role::ROOT);
        match read(&path, most) {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                let error = io::Error::new(io::ErrorKind::FileTooLarge, "larger than any root");
                Err(failed(&path)(error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    /// Keeps a document that was checked.
    pub(crate) fn set(&self, role: &Role, bytes: &[u8]) -> Result<(), TrustError> {
        replace(&self.path(role), bytes)
    }
}

/// Reads a file; nothing if it is larger than it may be.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Replaces a file at once, for its owner alone.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(directory)?;
    let written = || {
        let mut file = tempfile::Builder::new().prefix(".longshore-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    };
    written().map(drop).map_err(failed(path))
}

fn make_directory(path: &Path) -> Result<(), TrustError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
}

pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> TrustError {
    let path = path.to_owned();
    move |source| TrustError::File { path, source }
}
