//! The documents of a repository that were seen before, where docker keeps them, too.
//!
//! They are the memory of trust: the root that is believed, and versions below which nothing is. Each is replaced at
//! once, and only one process at a time does what may replace several.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock, major, minor};
use rustix::io::Errno;
use tempfile::NamedTempFile;
use tokio::time::Instant;

use crate::{Role, TrustError};

/// The time after which somebody else is said to be waited for, and that between two looks.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(50);

/// The cache of one repository.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    /// Held as long as this lives.
    _lock: File,
}

impl Cache {
    /// Opens the cache of a repository below a trust directory, and waits for whoever else has it open; after a moment that is
    /// told. The name is one of a reference, so that it leads nowhere else.
    pub async fn open(
        trust: &Path,
        repository: &str,
        tell: impl FnOnce(&str),
    ) -> Result<Cache, TrustError> {
        let home = trust.join("tuf").join(repository);
        let directory = home.join("metadata");
        make_directory(&directory)?;
        let path = home.join(".longshore.lock");
        let lock = regular(File::options().create(true).truncate(false).write(true), &path);
        let lock = lock.map_err(failed(&path))?;
        let (begin, mut tell) = (Instant::now(), Some(tell));
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Cache { directory, _lock: lock }),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(failed(&path)(error.into())),
            }
            if begin.elapsed() >= PATIENCE
                && let Some(tell) = tell.take()
            {
                tell(&holder(&lock));
            }
            // Nothing takes back a wait in the kernel, and a signal is to end this one.
            tokio::time::sleep(INTERVAL).await;
        }
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
        self.stage(role, bytes)?.keep()
    }

    /// Writes a document that is to be kept.
    pub(crate) fn stage(&self, role: &Role, bytes: &[u8]) -> Result<Staged, TrustError> {
        Staged::write(&self.path(role), bytes)
    }

    /// Returns the name of a document's file, for messages.
    pub(crate) fn name(&self, role: &Role) -> String {
        self.path(role).display().to_string()
    }
}

/// Names the process that holds a lock, as far as it can be known.
fn holder(lock: &File) -> String {
    let named = || -> Option<String> {
        let metadata = lock.metadata().ok()?;
        let (major, minor) = (major(metadata.dev()), minor(metadata.dev()));
        let key = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let process =
            locks.lines().find_map(|line| match *line.split_whitespace().collect::<Vec<_>>() {
                [_, "FLOCK", _, "WRITE", process, file, ..] if file == key => Some(process),
                _ => None,
            })?;
        let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        Some(format!("{} (process {process})", name.trim()))
    };
    named().unwrap_or_else(|| "another process".to_owned())
}

/// A file that is written, and not yet in its place.
#[derive(Debug)]
pub(crate) struct Staged {
    file: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    fn write(path: &Path, bytes: &[u8]) -> Result<Staged, TrustError> {
        let directory = path.parent().unwrap_or(Path::new("."));
        make_directory(directory)?;
        let written = || {
            let mut file = tempfile::Builder::new().prefix(".longshore-").tempfile_in(directory)?;
            file.write_all(bytes)?;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = written().map_err(failed(path))?;
        Ok(Staged { file, path: path.to_owned() })
    }

    /// Puts it in its place, at once.
    pub(crate) fn keep(self) -> Result<(), TrustError> {
        let Staged { file, path } = self;
        file.persist(&path).map_err(|error| failed(&path)(error.error))?;
        // A new name is on the disk only with its directory.
        let directory = path.parent().unwrap_or(&path);
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed(directory))
    }
}

/// Opens a file if it is a regular one: any other may keep who opens it for ever.
fn regular(options: &mut fs::OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Reads a file; nothing if it is larger than it may be.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    regular(File::options().read(true), path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Replaces a file at once, for its owner alone.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    Staged::write(path, bytes)?.keep()
}

fn make_directory(path: &Path) -> Result<(), TrustError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
}

pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> TrustError {
    let path = path.to_owned();
    move |source| TrustError::File { path, source }
}
