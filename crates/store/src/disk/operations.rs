//! The operations that change what is on the disk, as the system does them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, PermissionsExt as _};
use std::panic::Location;
use std::path::Path;

use rustix::fs::FallocateFlags;

use super::tree;

/// Everything that changes a data root, but for the files of layers that are being unpacked, which `archive` writes.
///
/// A trait, so that a crash, a failed write and a full disk are another implementation: see `tests/forgetful`.
pub(crate) trait Operations: fmt::Debug + Send + Sync {
    /// Creates a directory with exactly `mode`, whatever the umask.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Opens a file, and creates it if the options say so.
    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<File>;

    /// Writes some of `bytes` where the last write ended.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts a file short or lengthens it by a hole.
    fn set_size(&self, file: &File, size: u64) -> io::Result<()>;

    /// Sets room aside for `size` bytes of a file.
    fn allocate(&self, file: &File, size: u64) -> io::Result<()>;

    /// Creates a symbolic link.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;

    /// Renames over whatever is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes anything but a directory.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a tree, however deep; `attic` takes deep parts of it meanwhile.
    fn remove_tree(&self, path: &Path, attic: &Path) -> io::Result<()>;

    /// Makes what was written last through a power cut. `site` is the line that wants it.
    fn sync(&self, extent: Extent<'_>, site: &'static Location<'static>) -> io::Result<()>;
}

/// The extent of a sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent<'a> {
    /// The content of a file, not its name.
    File(&'a File),
    /// The names in a directory.
    Directory(&'a Path),
    /// All of the file system that an open file is on.
    FileSystem(&'a File),
}

/// The operations of the operating system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

impl Operations for System {
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        options.open(path)
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn set_size(&self, file: &File, size: u64) -> io::Result<()> {
        file.set_len(size)
    }

    fn allocate(&self, file: &File, size: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size)?)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_tree(&self, path: &Path, attic: &Path) -> io::Result<()> {
        tree::remove(path, attic)
    }

    fn sync(&self, extent: Extent<'_>, site: &'static Location<'static>) -> io::Result<()> {
        tracing::trace!(%site, ?extent, "sync");
        match extent {
            Extent::File(file) => file.sync_all(),
            Extent::Directory(path) => File::open(path)?.sync_all(),
            Extent::FileSystem(file) => sync_file_system(file),
        }
    }
}

/// Reports also what failed to get to the disk since `file` was opened or last told.
#[cfg(target_os = "linux")]
fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_file: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
