//! Finding out whether what an operation wrote has reached the disk.
//!
//! Linux tells a failed write-back once to each open file description, and to one that is opened after somebody was told never.
//! The page cache meanwhile gives the bytes that the disk does not have, so reading them again proves nothing. Hence each
//! operation opens a description of its own, with its lease and before its first write; whatever it writes keeps a reference to
//! it; and a commit syncs by those of all that it publishes. A failure is kept: whatever else was written since the description
//! was opened, be it used by another operation, fails with it and is thrown away.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Disk;
use crate::StoreError;
use crate::mutex::lock;

/// An open description of the data root that is told of every write that fails to reach the disk from now on.
#[derive(Debug)]
pub(crate) struct Durability {
    disk: Disk,
    root: PathBuf,
    description: File,
    /// The answer to the first sync that failed. Held while a sync runs, as only one of two at once would be told.
    failure: Mutex<Option<io::Error>>,
    /// Set if a sync has failed, or runs and may yet fail.
    suspect: AtomicBool,
}

impl Durability {
    /// Begins to watch the file system of `root`.
    pub(crate) fn watch(disk: &Disk, root: &Path) -> Result<Arc<Self>, StoreError> {
        let description = disk
            .open(root, OpenOptions::new().read(true))
            .map_err(|error| StoreError::io("open", root, error))?;
        Ok(Arc::new(Self {
            disk: disk.clone(),
            root: root.to_owned(),
            description,
            failure: Mutex::default(),
            suspect: AtomicBool::new(false),
        }))
    }

    /// Writes all of the file system to the disk; fails if anything that was written since [`Durability::watch`] did not get there.
    #[track_caller]
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let mut failure = lock(&self.failure);
        if failure.is_none() {
            self.suspect.store(true, Ordering::SeqCst);
            *failure = self.disk.sync_file_system(&self.description).err();
            self.suspect.store(failure.is_some(), Ordering::SeqCst);
        }
        match &*failure {
            None => Ok(()),
            Some(error) => Err(StoreError::unwritten(&self.root, copy(error))),
        }
    }

    /// Says whether what was written may be lost: a sync has failed, or may fail yet. Waits for none.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::SeqCst)
    }
}

/// Syncs by each of `watches` once, so that each knows of its own failures; returns the first.
#[track_caller]
pub(crate) fn sync_all<'a>(
    watches: impl IntoIterator<Item = &'a Arc<Durability>>,
) -> Result<(), StoreError> {
    let mut synced: Vec<&Arc<Durability>> = Vec::new();
    let mut result = Ok(());
    for watch in watches {
        if !synced.iter().any(|other| Arc::ptr_eq(other, watch)) {
            result = result.and(watch.sync());
            synced.push(watch);
        }
    }
    result
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_sync_to_learn_that_it_runs() {
        let root = tempfile::tempdir().unwrap();
        let watch = Durability::watch(&Disk::new(crate::disk::System), root.path()).unwrap();
        watch.sync().unwrap();
        let running = watch.failure.lock().unwrap();
        assert!(!watch.is_suspect(), "a sync that went well is over");
        watch.suspect.store(true, Ordering::SeqCst);
        assert!(watch.is_suspect());
        drop(running);
    }
}
