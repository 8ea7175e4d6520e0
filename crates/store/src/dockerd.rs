//! Keeping a dockerd off the data root.
//!
//! A dockerd is noticed by the flock that it holds, from start to end, on the database of its volumes
//! (`volumes/metadata.db`, a bbolt file; so do 20.10 and 29). While a store is open it holds a shared flock on that file,
//! which lets other stores in and makes a dockerd that is started on the root stop with an error instead of running on
//! metadata that change under it. The first transaction after the file has appeared takes it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::mutex::lock;
use crate::{StoreError, files};

/// The lock that says that a data root is in use.
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
        let mut held = lock(&self.held);
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
