//! One file of a root file system that a stranger filled.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::apply::Directories;
use crate::error::printable;

/// Reads the regular file `path` below `root`, at most `limit` bytes of it. `None` if there is none.
///
/// Symlinks, absolute ones too, are followed within `root` as in a chroot, by the kernel.
pub fn read_file(
    root: BorrowedFd<'_>,
    path: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    let failed = |errno: Errno| ArchiveError::Io {
        action: "read",
        path: printable(path.as_bytes()).into(),
        source: errno.into(),
    };
    // Not blocking, should it be a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let root = root.try_clone_to_owned().map_err(|source| ArchiveError::Io {
        action: "read",
        path: printable(path.as_bytes()).into(),
        source,
    })?;
    let file = match Directories::within(root).open_within(path.as_bytes(), flags) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    let stat = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::from(file).take(limit).read_to_end(&mut bytes).map_err(|source| ArchiveError::Io {
        action: "read",
        path: printable(path.as_bytes()).into(),
        source,
    })?;
    Ok(Some(bytes))
}
