//! The files of a download: taken by one process, found again, removed.

use std::fs::{OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::disk::Disk;
use crate::files::Flocked;
use crate::{StoreError, files};

/// The end of the name of the state that lies beside the bytes.
pub(super) const STATE_SUFFIX: &str = ".state";

/// Opens a file of the ingest directory for this process alone; `None` if somebody else has it.
pub(super) fn open_locked(disk: &Disk, path: &Path) -> Result<Option<Flocked>, StoreError> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file =
            disk.open(path, &options).map_err(|error| StoreError::io("open", path, error))?;
        let file = match file.try_lock() {
            Ok(()) => Flocked::new(file),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
        };
        // Between opening and locking the owner may have published or removed it.
        if files::is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

pub(super) fn state_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(STATE_SUFFIX);
    name.into()
}

/// Takes a file that nobody writes; `None` if somebody does or it is gone.
pub(super) fn open_existing(disk: &Disk, path: &Path) -> Result<Option<Flocked>, StoreError> {
    // Nobody makes a link here.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags);
    match disk.open(path, &options) {
        Ok(file) if !files::is_file(&file, path)? => {
            Err(StoreError::damaged(path, "it is no file"))
        }
        Ok(file) if file.try_lock().is_ok() => {
            let file = Flocked::new(file);
            Ok(files::is_at(&file, path)?.then_some(file))
        }
        Ok(_) => Ok(None),
        Err(error) if files::is_missing(&error) => Ok(None),
        Err(error) => Err(StoreError::io("open", path, error)),
    }
}

/// Removes a download. The state goes first: bytes without a state count as none.
pub(super) fn remove(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    disk.remove_file(&state_path(path))?;
    disk.remove_file(path).map(drop)
}
