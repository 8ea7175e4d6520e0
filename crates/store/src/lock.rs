//! Mutual exclusion between the users of a data root.
//!
//! Transactions hold a flock on `longshore/lock`. Every acquisition opens the file anew, so threads of one process exclude
//! each other like processes do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::disk::Disk;
use crate::room::reserve::Reserve;
use crate::{Store, StoreError, files};

/// The exclusive right to change metadata. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Transaction {
    _lock: File,
    /// The room that a removal may use up on a full disk.
    reserve: Option<Reserve>,
}

impl Transaction {
    /// Does something that changes metadata. On a full disk, a removal gets the reserve for it.
    pub(crate) fn insist<T>(
        &self,
        mut work: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.reserve {
            Some(reserve) => reserve.insist(work),
            None => work(),
        }
    }
}

/// The right to add entries to a lease: no transaction runs meanwhile.
#[derive(Debug)]
pub(crate) struct Shared {
    /// None where nobody can have run a transaction yet, nor begin one.
    _lock: Option<File>,
}

impl Store {
    /// Waits for other transactions, which are short, and starts one.
    pub(crate) fn transaction(&self) -> Result<Transaction, StoreError> {
        self.dockerd().exclude()?;
        let lock = lock(&self.paths().lock(), |path| open(self.disk(), path), File::lock)?;
        let transaction = Transaction { _lock: lock, reserve: None };
        self.create_missing(&transaction)?;
        Ok(transaction)
    }

    /// Starts a transaction that takes something away, for which there is room on a full disk, too.
    pub(crate) fn removal(&self) -> Result<Transaction, StoreError> {
        let reserve = self.reserve();
        let transaction = reserve.insist(|| self.transaction())?;
        Ok(Transaction { reserve: Some(reserve), ..transaction })
    }

    /// Waits for the transaction that runs, if one does, and holds off the next.
    pub(crate) fn no_transaction(&self) -> Result<Shared, StoreError> {
        let path = self.paths().lock();
        // A shared lock takes no right to write.
        let open_any = |path: &Path| match open(self.disk(), path) {
            Err(error) if error.cannot_write() => files::open(path)?.ok_or(error),
            opened => opened,
        };
        match lock(&path, open_any, File::lock_shared) {
            Ok(file) => Ok(Shared { _lock: Some(file) }),
            Err(error) if error.cannot_write() && !files::exists(&path)? => {
                Ok(Shared { _lock: None })
            }
            Err(error) => Err(error),
        }
    }
}

/// Locks the file that is at `path`, even if it was removed and made anew while another one was waited for.
fn lock(
    path: &Path,
    open: impl Fn(&Path) -> Result<File, StoreError>,
    lock: fn(&File) -> io::Result<()>,
) -> Result<File, StoreError> {
    loop {
        let file = open(path)?;
        lock(&file).map_err(|error| StoreError::io("lock", path, error))?;
        if files::is_at(&file, path)? {
            return Ok(file);
        }
    }
}

/// Opens the lock for writing, and makes what is missing of it.
fn open(disk: &Disk, path: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::io("open", path, error);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let open = || disk.open(path, &options);
    match (open(), path.parent()) {
        (Err(error), Some(own)) if files::is_missing(&error) => {
            disk.make_dir_anew(own, 0o700)?;
            open().map_err(failed)
        }
        (Err(_), Some(own)) if path.is_dir() => {
            disk.remove_tree(path, own)?;
            open().map_err(failed)
        }
        (opened, _) => opened.map_err(failed),
    }
}
