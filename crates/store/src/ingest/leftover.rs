//! Partial downloads that nobody continues: how much of the disk they take, and giving them up for something better.
//!
//! Whoever gives one up holds its flock meanwhile, so that nobody takes it for theirs.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use spec::Digest;

use super::file::{STATE_SUFFIX, open_existing, remove, state_path};
use crate::disk::Disk;
use crate::files::Flocked;
use crate::{Room, Store, StoreError, files};

/// A partial download that nobody holds; held now, by us.
#[derive(Debug)]
struct Leftover {
    path: PathBuf,
    /// The bytes of the disk that it takes: there are holes in it.
    size: u64,
    /// The number of its files, with its state.
    inodes: u64,
    written: SystemTime,
    _locked: Flocked,
}

impl Store {
    /// Returns how many bytes of the disk partial downloads take that nobody is working on.
    pub fn partial_downloads(&self) -> Result<u64, StoreError> {
        Ok(self.idle_downloads()?.iter().map(|(_, size)| size).sum())
    }

    /// Returns when each partial download was written last that nobody is working on, and how many bytes of the disk it takes.
    pub fn idle_downloads(&self) -> Result<Vec<(SystemTime, u64)>, StoreError> {
        match self.leftovers() {
            Ok(leftovers) => Ok(leftovers.iter().map(|left| (left.written, left.size)).collect()),
            Err(error) if error.cannot_write() => idle(&self.paths().ingest()),
            Err(error) => Err(error),
        }
    }

    /// Gives up the partial downloads that nobody is working on, or only those that were not written since `until`; returns
    /// how many bytes of the disk they took.
    pub fn discard_partial_downloads(&self, until: Option<SystemTime>) -> Result<u64, StoreError> {
        let mut freed = 0;
        for leftover in self.leftovers()? {
            if until.is_none_or(|until| leftover.written <= until) {
                remove(self.disk(), &leftover.path)?;
                freed += leftover.size;
            }
        }
        Ok(freed)
    }

    /// Looks under the lock: a download that begins meanwhile must not find its file taken.
    fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        let directory = self.paths().ingest();
        if files::names(&directory)?.is_empty() {
            return Ok(Vec::new());
        }
        let _transaction = self.removal()?;
        find(self.disk(), &directory, &[])
    }
}

impl Store {
    /// Returns what the file system of the data root has left.
    pub fn room(&self) -> Result<Room, StoreError> {
        Room::at(self.root()).map_err(|error| StoreError::io("look at", self.root(), error))
    }

    /// Fails if there is less room than `needed`, not even in the place of partial downloads that nobody works on: those are
    /// given up, the oldest first, but for what is there of the blobs in `keep`.
    pub fn require_room(&self, needed: Room, keep: &[Digest]) -> Result<(), StoreError> {
        let available = self.room()?;
        if available.suffices(needed) {
            return Ok(());
        }
        let keep: Vec<_> = keep.iter().map(|digest| self.paths().partial(digest)).collect();
        let missing = needed.without(available);
        make_room(self.disk(), &self.paths().ingest(), &keep, missing)?;
        let available = self.room()?;
        if available.suffices(needed) {
            return Ok(());
        }
        Err(StoreError::TooFull { path: self.root().to_owned(), needed, available })
    }

    /// Gives up the oldest partial download that nobody works on; says whether there was one.
    pub fn make_room(&self) -> bool {
        match make_room(self.disk(), &self.paths().ingest(), &[], Room::A_BYTE) {
            Ok(freed) => freed > 0,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "no room made on a full disk");
                false
            }
        }
    }

    /// Returns how many bytes of a blob are here from a download that was not finished, and whether somebody is at it.
    pub fn partial_blob(&self, digest: &Digest) -> Result<(u64, bool), StoreError> {
        look_at(&self.paths().partial(digest))
    }
}

/// Writes something. On a full disk, partial downloads that nobody holds make room, the oldest first, and it is tried again.
pub(crate) fn write_with_room<T>(
    disk: &Disk,
    directory: &Path,
    keep: &Path,
    mut write: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        let error = match write() {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Err(error);
        }
        match make_room(disk, directory, &[keep.to_owned()], Room::A_BYTE) {
            Ok(1..) => {}
            Ok(0) => return Err(error),
            Err(failure) => {
                let failure: &dyn std::error::Error = &failure;
                tracing::warn!(failure, "no room made on a full disk");
                return Err(error);
            }
        }
    }
}

/// Gives up partial downloads that nobody holds, the oldest first, until as much as `needed` is free that was not;
/// returns how many bytes are. If all of them together are not enough, they stay. Those at `keep` stay, too.
pub(crate) fn make_room(
    disk: &Disk,
    directory: &Path,
    keep: &[PathBuf],
    needed: Room,
) -> Result<u64, StoreError> {
    let mut leftovers = find(disk, directory, keep)?;
    let takes = |leftover: &Leftover| Room { bytes: leftover.size, inodes: Some(leftover.inodes) };
    if !leftovers.iter().map(takes).fold(Room::default(), Room::and).suffices(needed) {
        return Ok(0);
    }
    leftovers.sort_by_key(|leftover| leftover.written);
    let mut freed = Room { bytes: 0, inodes: Some(0) };
    for leftover in leftovers {
        if freed.suffices(needed) {
            break;
        }
        remove(disk, &leftover.path)?;
        freed = freed.and(takes(&leftover));
        tracing::info!(path = %leftover.path.display(), size = leftover.size, "partial download given up to make room");
    }
    Ok(freed.bytes)
}

/// Returns what a download takes of the disk, and whether somebody is at it.
pub(crate) fn look_at(path: &Path) -> Result<(u64, bool), StoreError> {
    match File::open(path) {
        Ok(file) => {
            let metadata =
                file.metadata().map_err(|error| StoreError::io("look at", path, error))?;
            // Shared, for a moment: a download that begins just now goes on in a file of its own.
            Ok((metadata.blocks().saturating_mul(512), file.try_lock_shared().is_err()))
        }
        Err(error) if files::is_missing(&error) => Ok((0, false)),
        Err(error) => Err(StoreError::io("open", path, error)),
    }
}

/// Lists the partial downloads that nobody holds, where nothing can be written and so none can begin.
fn idle(directory: &Path) -> Result<Vec<(SystemTime, u64)>, StoreError> {
    let mut idle = Vec::new();
    for name in files::names(directory)?.iter().filter(|name| !name.ends_with(STATE_SUFFIX)) {
        let path = directory.join(name);
        let looked_at = File::open(&path).and_then(|file| {
            let metadata = file.metadata()?;
            let is_idle = file.try_lock_shared().is_ok();
            Ok(is_idle.then_some((metadata.modified()?, metadata.blocks().saturating_mul(512))))
        });
        match looked_at {
            Ok(found) => idle.extend(found),
            Err(error) if files::is_missing(&error) => {}
            Err(error) => return Err(StoreError::io("look at", path, error)),
        }
    }
    Ok(idle)
}

fn find(disk: &Disk, directory: &Path, except: &[PathBuf]) -> Result<Vec<Leftover>, StoreError> {
    let mut leftovers = Vec::new();
    for name in files::names(directory)?.iter().filter(|name| !name.ends_with(STATE_SUFFIX)) {
        let path = directory.join(name);
        if except.contains(&path) {
            continue;
        }
        let Some(file) = files::sound(open_existing(disk, &path)) else { continue };
        let metadata = file.metadata().map_err(|error| StoreError::io("look at", &path, error))?;
        let written =
            metadata.modified().map_err(|error| StoreError::io("look at", &path, error))?;
        // The unit of `st_blocks`, whatever the file system's is.
        let size = metadata.blocks().saturating_mul(512);
        let inodes = 1 + u64::from(files::exists(&state_path(&path))?);
        leftovers.push(Leftover { path, size, inodes, written, _locked: file });
    }
    Ok(leftovers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::System;
    use crate::tests::Root;

    #[test]
    fn only_what_helps_is_given_up() {
        let room = |bytes, inodes| Room { bytes, inodes };
        let all = ["new", "old", "old.state"];
        for (needed, left) in [
            (room(0, None), &all[..]),
            (room(0, Some(4)), &all),
            (room(1 << 30, Some(1)), &all),
            (room(0, Some(2)), &["new"]),
            (room(1, None), &["new"]),
            (room(0, Some(3)), &[]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for name in all {
                std::fs::write(folder.path().join(name), [1; 5000]).unwrap();
            }
            let old = File::options().write(true).open(folder.path().join("old")).unwrap();
            old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            make_room(&Disk::new(System), folder.path(), &[], needed).unwrap();
            let mut names = files::names(folder.path()).unwrap();
            names.sort();
            assert_eq!(names, left, "{needed:?}");
        }

        let Root { store, .. } = &Root::packed();
        let partial = store.paths().ingest().join("sha256-0");
        std::fs::write(&partial, [1; 5000]).unwrap();
        let needed = room(0, Some(u64::MAX));
        if store.room().unwrap().inodes.is_some() {
            store.require_room(needed, &[]).unwrap_err();
            assert!(partial.exists(), "it would not have been enough");
        }
    }
}
