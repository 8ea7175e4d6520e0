//! Mutual exclusion: between the users of a data root, and between them and a dockerd.
//!
//! Transactions hold a flock on `longshore/lock`. Every acquisition opens the file anew, so threads of one process exclude
//! each other like processes do.
//!
//! A dockerd is noticed by the flock that it holds, from start to end, on the database of its volumes
//! (`volumes/metadata.db`, a bbolt file; so do 20.10 and 29). While a store is open it holds a shared flock on that file,
//! which lets other stores in and makes a dockerd that is started on the root stop with an error instead of running on
//! metadata that change under it. The first transaction after the file has appeared takes it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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

/// Keeps a dockerd off the data root.
#[derive(Debug)]
pub(crate) struct DockerdLock {
    root: PathBuf,
    held: Mutex<Option<File>>,
}

impl DockerdLock {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), held: Mutex::new(None) }
    }

    /// Fails if a dockerd runs on the root and otherwise prevents one from starting, where one ever ran.
    pub(crate) fn exclude(&self) -> Result<(), StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        let path = self.root.join("volumes/metadata.db");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if files::is_missing(&error) => return Ok(()),
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => {
                *held = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::InUse { root: self.root.clone(), process: holder(&file) })
            }
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
        }
    }
}

/// Finds out who holds the flock on `file`, for the error message only.
fn holder(file: &File) -> String {
    let named = || -> Option<String> {
        let metadata = file.metadata().ok()?;
        let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        let key = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let process = process_of(&locks, &key)?;
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        Some(format!("{} (process {process})", name.trim()))
    };
    named().unwrap_or_else(|| "a running dockerd".to_owned())
}

/// Finds the process that holds the lock on `key` in the text of `/proc/locks`:
/// `6: FLOCK  ADVISORY  WRITE 5665 fe:00:10010817 0 EOF`.
fn process_of<'a>(locks: &'a str, key: &str) -> Option<&'a str> {
    locks.lines().find_map(|line| match *line.split_whitespace().collect::<Vec<_>>() {
        [_, "FLOCK", _, "WRITE", process, file, ..] if file == key && process != "-1" => {
            Some(process)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_holder_of_a_lock() {
        let locks = "1: FLOCK  ADVISORY  WRITE 5673 fe:00:10 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 99 fe:00:11 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 98 fe:00:11 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 5665 fe:00:11 0 EOF\n";
        assert_eq!(process_of(locks, "fe:00:11"), Some("5665"));
        assert_eq!(process_of(locks, "fe:00:12"), None);
    }

    #[test]
    fn a_running_dockerd_is_refused_and_a_later_one_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let guard = DockerdLock::new(dir.path());
        guard.exclude().unwrap();

        std::fs::create_dir(dir.path().join("volumes")).unwrap();
        let database = File::create(dir.path().join("volumes/metadata.db")).unwrap();
        database.lock().unwrap();
        let error = guard.exclude().unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");

        database.unlock().unwrap();
        guard.exclude().unwrap();
        DockerdLock::new(dir.path()).exclude().unwrap();
        assert!(matches!(database.try_lock(), Err(TryLockError::WouldBlock)));
        drop(guard);
        database.try_lock().unwrap();
    }
}
