//! Changing what is on the disk.
//!
//! Whatever the store creates, writes, renames, removes or syncs goes through a [`Disk`]; reading does not. Its operations name the
//! file in their errors and leave either the old state or the new.
//!
//! A sync covers what its name says and nothing else: [`Disk::sync_file`] alone makes no name last, and no order is taken for
//! granted between operations that no sync lies between. `docs/design/disk.md` lists what each sync is for.

mod durability;
mod operations;
mod tree;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) use self::durability::{Durability, sync_all};
pub(crate) use self::operations::{Extent, Operations, System};
use crate::files::Flocked;
use crate::{StoreError, files};

type Result<T> = std::result::Result<T, StoreError>;

/// The disk that a data root is on.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<dyn Operations>);

impl Disk {
    pub(crate) fn new(operations: impl Operations + 'static) -> Self {
        Self(Arc::new(operations))
    }

    /// Creates a directory with exactly `mode`, whatever the umask. One that exists is left as it is.
    pub(crate) fn make_dir(&self, path: &Path, mode: u32) -> Result<()> {
        match self.0.create_dir(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            created => created.map_err(|error| StoreError::io("create", path, error)),
        }
    }

    /// As [`Disk::make_dir`], for what can be done without: a file in its place goes.
    pub(crate) fn make_dir_anew(&self, path: &Path, mode: u32) -> Result<()> {
        match self.make_dir(path, mode) {
            Err(_) if path.is_file() => {
                tracing::warn!(path = %path.display(), "it is no directory and makes way for one");
                self.remove_file(path)?;
                self.make_dir(path, mode)
            }
            result => result,
        }
    }

    /// Opens a file as `options` say.
    pub(crate) fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        self.0.open(path, options)
    }

    /// Creates a file that must not exist yet, with exactly `mode`.
    pub(crate) fn create_new(&self, path: &Path, mode: u32) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode);
        let file =
            self.open(path, &options).map_err(|error| StoreError::io("create", path, error))?;
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(|error| StoreError::io("set mode of", path, error))?;
        Ok(file)
    }

    /// Writes a new file without syncing it.
    pub(crate) fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<File> {
        let file = self.create_new(path, mode)?;
        self.write_all(&file, bytes).map_err(|error| StoreError::io("write", path, error))?;
        Ok(file)
    }

    /// Writes some of `bytes` where the last write ended.
    pub(crate) fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(file, bytes)
    }

    /// Writes all of `bytes` where the last write ended.
    pub(crate) fn write_all(&self, file: &File, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(file, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(file, bytes, offset)
    }

    /// Cuts a file short or lengthens it by a hole.
    pub(crate) fn set_size(&self, file: &File, size: u64) -> io::Result<()> {
        self.0.set_size(file, size)
    }

    /// Sets room aside for `size` bytes of a file.
    pub(crate) fn allocate(&self, file: &File, size: u64) -> io::Result<()> {
        self.0.allocate(file, size)
    }

    /// Replaces `target` by `bytes` through a synced file beside it, which is gone if this fails.
    ///
    /// The caller holds the store's lock exclusively and syncs the directory when its transaction is done.
    #[track_caller]
    pub(crate) fn replace(
        &self,
        aside: &Path,
        target: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<()> {
        let site = Location::caller();
        let sync = |file: &File, path: &Path| self.sync_at(Extent::File(file), path, site);
        self.replace_with((aside, target), bytes, mode, sync).map(drop)
    }

    /// As [`Disk::replace`], with a flock on the new file from before it is there. Returns what holds it.
    #[track_caller]
    pub(crate) fn replace_locked(
        &self,
        aside: &Path,
        target: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<Flocked> {
        let site = Location::caller();
        let replaced = self.replace_with((aside, target), bytes, mode, |file, path| {
            // Nobody else can have it yet.
            file.lock().map_err(|error| StoreError::io("lock", path, error))?;
            self.sync_at(Extent::File(file), path, site)
        });
        replaced.map(Flocked::new)
    }

    /// As [`Disk::replace`], for what may be torn or lost in a power cut.
    pub(crate) fn replace_unsynced(
        &self,
        aside: &Path,
        target: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<()> {
        self.replace_with((aside, target), bytes, mode, |_, _| Ok(())).map(drop)
    }

    fn replace_with(
        &self,
        (directory, target): (&Path, &Path),
        bytes: &[u8],
        mode: u32,
        finish: impl FnOnce(&File, &Path) -> Result<()>,
    ) -> Result<File> {
        let aside = directory.join(format!("{TRANSACTION_PREFIX}{}", files::random_hex(8)?));
        let written = self.write_new(&aside, bytes, mode).and_then(|file| {
            finish(&file, &aside)?;
            self.make_way(target, directory)?;
            self.rename(&aside, target)?;
            Ok(file)
        });
        if written.is_err() {
            // What failed is reported; the file would be swept at the next start anyway.
            let _ = self.0.remove_file(&aside);
        }
        written
    }

    /// Renames over whatever is there.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to).map_err(|error| StoreError::io("rename to", to, error))
    }

    /// As [`Disk::rename`], to where `from` is out of the way.
    pub(crate) fn rename_away(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to).map_err(|error| StoreError::io("move to the trash", from, error))
    }

    /// Creates a symbolic link.
    pub(crate) fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        self.0.symlink(target, path).map_err(|error| StoreError::io("create", path, error))
    }

    /// Takes whatever is at `path` and is no file away to `attic`, so that a file can be put there. Says whether there was something.
    pub(crate) fn make_way(&self, path: &Path, attic: &Path) -> Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(false),
            Ok(_) => {
                tracing::warn!(path = %path.display(), "it is no file and makes way for one");
                self.rename(path, &attic.join(files::random_hex(16)?)).map(|()| true)
            }
            Err(error) if files::is_missing(&error) => Ok(false),
            Err(error) => Err(StoreError::io("look at", path, error)),
        }
    }

    /// Removes a file; says whether there was one.
    pub(crate) fn remove_file(&self, path: &Path) -> Result<bool> {
        match self.0.remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if files::is_missing(&error) => Ok(false),
            Err(error) => Err(StoreError::io("remove", path, error)),
        }
    }

    /// Removes a tree, however deep: what a layer holds was named by a stranger.
    ///
    /// `attic` is a directory of the same file system where deep parts may be put meanwhile.
    pub(crate) fn remove_tree(&self, path: &Path, attic: &Path) -> Result<()> {
        self.0.remove_tree(path, attic).map_err(|error| StoreError::io("remove", path, error))
    }

    /// Makes the content of an open file last through a power cut, not its name.
    #[track_caller]
    pub(crate) fn sync_file(&self, file: &File, path: &Path) -> Result<()> {
        self.sync_at(Extent::File(file), path, Location::caller())
    }

    /// Makes a file last through a power cut, its name included.
    #[track_caller]
    pub(crate) fn sync_named(&self, path: &Path) -> Result<()> {
        let file = self
            .open(path, OpenOptions::new().read(true))
            .map_err(|error| StoreError::io("open", path, error))?;
        self.sync_file(&file, path)?;
        match path.parent() {
            Some(directory) => self.sync_dir(directory),
            None => Ok(()),
        }
    }

    /// Makes the names in a directory last through a power cut.
    #[track_caller]
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<()> {
        self.sync_at(Extent::Directory(path), path, Location::caller())
    }

    /// Writes everything of the file system that `file` is on to the disk, and reports what failed to get there since `file` was
    /// opened or last told.
    #[track_caller]
    fn sync_file_system(&self, file: &File) -> io::Result<()> {
        let began = Instant::now();
        let answer = self.0.sync(Extent::FileSystem(file), Location::caller());
        let waited = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        SYNCS.fetch_add(1, Ordering::Relaxed);
        WAITED.fetch_add(waited, Ordering::Relaxed);
        answer
    }

    /// Has all of the file system of `root` go to the disk, without a sync of somebody else missing a failure.
    #[track_caller]
    pub(crate) fn write_back(&self, root: &Path) -> io::Result<()> {
        // By a description of its own: what it is told of, nobody else misses.
        let description = self.open(root, OpenOptions::new().read(true))?;
        self.sync_file_system(&description)
    }

    fn sync_at(
        &self,
        extent: Extent<'_>,
        path: &Path,
        site: &'static Location<'static>,
    ) -> Result<()> {
        self.0.sync(extent, site).map_err(|error| StoreError::io("sync", path, error))
    }
}

static SYNCS: AtomicU64 = AtomicU64::new(0);
static WAITED: AtomicU64 = AtomicU64::new(0);

/// Returns how often this process has synced a file system, for a commit or beside one, and how long that took together.
pub fn file_system_syncs() -> (u64, Duration) {
    let waited = Duration::from_nanos(WAITED.load(Ordering::Relaxed));
    (SYNCS.load(Ordering::Relaxed), waited)
}

/// The names of files in `staging/` that [`Disk::replace`] has not put in their places. They belong to whoever holds the lock.
pub(crate) const TRANSACTION_PREFIX: &str = "transaction-";

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let disk = Disk::new(System);
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        disk.replace(dir.path(), &target, b"old", 0o600).unwrap();
        disk.replace(dir.path(), &target.join("below a file"), b"new", 0o600).unwrap_err();
        assert_eq!(files::names(dir.path()).unwrap(), ["target"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_is_no_file_is_damage_and_makes_way() {
        let disk = Disk::new(System);
        let dir = tempfile::tempdir().unwrap();
        let attic = dir.path().join("attic");
        fs::create_dir(&attic).unwrap();
        let target = dir.path().join("target");
        let make: [fn(&Path); 3] = [
            |path| fs::create_dir_all(path.join("full")).unwrap(),
            |path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
            |path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
        ];
        for make in make {
            make(&target);
            assert_eq!(files::sound(files::read(&target, 9)), None);
            disk.replace(&attic, &target, b"new", 0o600).unwrap();
            assert_eq!(files::read(&target, 9).unwrap().unwrap(), b"new");
            fs::remove_file(&target).unwrap();
        }
        assert!(!disk.make_way(&target, &attic).unwrap());
        fs::write(&target, [0xff]).unwrap();
        assert_eq!(files::read_note(&target), None);
    }
}
