//! Room that only removals get: on a full disk an image can still be removed.
//!
//! Taking an image away writes, too: a lease, the references, the list of manifests. `longshore/reserve/` holds files that are there to be
//! deleted when the disk, the quota or the inodes are used up. They are made when there is plenty of room, and made again when there is.
//!
//! ```text
//! longshore/reserve/<number>   allocated and never read
//! ```

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, statvfs};
use rustix::io::Errno;

use crate::disk::Disk;
use crate::ingest::leftover;
use crate::{Room, Store, StoreError, files};

/// The number of files, each an inode: a removal needs one for its lease, and one for each document that it replaces, whose
/// earlier version a running daemon may still have open.
const FILES: u64 = 8;
/// The least bytes that each file takes, and the steps in which they grow with the documents that a removal replaces.
const STEP: u64 = 64 << 10;
/// The multiple that must be free before files are made.
const PLENTY: u64 = 8;

/// The reserve of a data root. It is not locked: whoever deletes or makes a file that another has deleted or made does no harm.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    disk: Disk,
    directory: PathBuf,
    /// A directory for what is in the place of a file.
    attic: PathBuf,
    /// The catalog: it may be missing, so it is given up, too.
    catalog: PathBuf,
    ingest: PathBuf,
    /// The documents that a removal writes anew.
    documents: [PathBuf; 2],
}

impl Store {
    pub(crate) fn reserve(&self) -> Reserve {
        let paths = self.paths();
        Reserve {
            disk: self.disk().clone(),
            directory: paths.reserve(),
            attic: paths.staging(),
            catalog: paths.catalog(),
            ingest: paths.ingest(),
            documents: [paths.repositories(), paths.content_index()],
        }
    }
}

impl Reserve {
    /// Does something that a removal cannot do without. As long as there is no room for it, a file of the reserve is given up for it,
    /// and then what else nobody misses.
    pub(crate) fn insist<T>(
        &self,
        mut work: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match work() {
                Err(error) if error.is_shortage() => {
                    if !self.give_up()? {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }

    /// Gives something up; says whether there was something.
    fn give_up(&self) -> Result<bool, StoreError> {
        for path in (0..FILES).map(|number| self.file(number)).chain([self.catalog.clone()]) {
            if self.disk.remove_file(&path)? {
                tracing::info!(path = %path.display(), "given up on a full disk, for a removal");
                // Some file systems have the room only when the removal of a file is on the disk.
                if let Some(directory) = path.parent() {
                    self.disk.sync_dir(directory)?;
                }
                return Ok(true);
            }
        }
        Ok(leftover::make_room(&self.disk, &self.ingest, &[], Room::A_BYTE)? > 0)
    }

    /// Makes what is missing of it, if there is plenty of room. That there is none is no failure of anything.
    pub(crate) fn refill(&self) {
        if let Err(error) = self.fill() {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "no room is kept for removals");
        }
    }

    fn fill(&self) -> Result<(), StoreError> {
        let length = |path: &Path| {
            let file = std::fs::symlink_metadata(path).ok().filter(Metadata::is_file);
            file.map_or(0, |metadata| metadata.len())
        };
        let documents: u64 = self.documents.iter().map(|path| length(path)).sum();
        // All files together: twice the documents, and something for leases and directories.
        let size = (documents / 4 + STEP / 2).next_multiple_of(STEP);
        let missing: Vec<_> =
            (0..FILES).map(|number| self.file(number)).filter(|path| length(path) < size).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let parent = self.directory.parent().unwrap_or(&self.directory);
        let room =
            statvfs(parent).map_err(|error| StoreError::io("look at", parent, error.into()))?;
        let has_inodes = room.f_files == 0 || room.f_favail >= FILES * PLENTY;
        if room.f_bavail.saturating_mul(room.f_frsize) < FILES * size * PLENTY || !has_inodes {
            return Ok(());
        }
        self.disk.make_dir_anew(&self.directory, 0o700)?;
        // Whoever owns the data root does not choose what root writes to, nor what it waits for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(flags);
        for path in missing {
            self.disk.make_way(&path, &self.attic)?;
            let file = self.disk.open(&path, &options);
            let file = file.map_err(|error| StoreError::io("open", &path, error))?;
            if !files::is_file(&file, &path)? {
                return Err(StoreError::damaged(path, "it is no file"));
            }
            let made = self.allocate(&file, size);
            if let Err(error) = made {
                // A part would be taken for the whole.
                self.disk.remove_file(&path)?;
                return Err(StoreError::io("allocate", path, error));
            }
        }
        Ok(())
    }

    /// Has the file system set `size` bytes aside. Where it cannot, bytes are written that no compression makes less.
    fn allocate(&self, file: &File, size: u64) -> io::Result<()> {
        match self.disk.allocate(file, size) {
            Err(error) if Errno::from_io_error(&error).is_some_and(is_unsupported) => {
                self.disk.set_size(file, 0)?;
                let length = usize::try_from(size).unwrap_or(usize::MAX);
                self.disk.write_all(file, &files::random(length).map_err(io::Error::other)?)
            }
            allocated => allocated,
        }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.directory.join(number.to_string())
    }
}

fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Root;

    fn full() -> StoreError {
        StoreError::io("write", "/x", std::io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn each_shortage_takes_one_file_and_the_catalog_is_the_last() {
        let root = Root::packed();
        let reserve = root.store.reserve();
        std::fs::write(root.store.paths().catalog(), "").unwrap();
        let left = || files::names(&reserve.directory).unwrap().len();
        assert_eq!(left(), 8, "made when the root was opened");
        let mut failures = 3;
        reserve
            .insist(|| {
                failures -= 1;
                if failures >= 0 { Err(full()) } else { Ok(()) }
            })
            .unwrap();
        assert_eq!(left(), 5);
        assert!(reserve.insist(|| Err::<(), _>(full())).unwrap_err().is_shortage());
        assert_eq!((left(), root.store.paths().catalog().exists()), (0, false));
        let other = || StoreError::io("write", "/x", std::io::ErrorKind::NotFound.into());
        reserve.refill();
        reserve.insist(|| Err::<(), _>(other())).unwrap_err();
        assert_eq!(left(), 8, "only a shortage is worth it");
    }

    #[test]
    fn it_grows_with_what_a_removal_writes() {
        let root = Root::packed();
        let reserve = root.store.reserve();
        let size = || std::fs::metadata(reserve.file(7)).unwrap().len();
        assert_eq!(size(), STEP);
        std::fs::write(root.store.paths().repositories(), vec![b' '; 1 << 20]).unwrap();
        reserve.refill();
        assert_eq!(size(), 5 * STEP);
    }

    #[test]
    fn what_is_no_file_makes_way_and_no_link_is_followed() {
        let root = Root::packed();
        let reserve = root.store.reserve();
        let other = tempfile::NamedTempFile::new().unwrap();
        for number in 2..4 {
            std::fs::remove_file(reserve.file(number)).unwrap();
        }
        std::os::unix::fs::symlink(other.path(), reserve.file(2)).unwrap();
        std::fs::create_dir(reserve.file(3)).unwrap();
        reserve.refill();
        assert_eq!(other.path().metadata().unwrap().len(), 0);
        for number in 0..FILES {
            let metadata = reserve.file(number).symlink_metadata().unwrap();
            assert!(metadata.is_file() && metadata.len() == STEP, "{number}");
        }
    }
}
