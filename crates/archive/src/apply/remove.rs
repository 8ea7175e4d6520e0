//! Making room for an entry where something of the same layer stands.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::ArchiveError;

use super::{Extractor, NO_FOLLOW, Place};

/// The deepest tree that is removed; each level holds a descriptor open.
const MAX_DEPTH: usize = 128;

/// What was removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removed {
    /// Bytes that the layer has less now.
    size: u64,
    /// Whether paths may mean something else now.
    changes_paths: bool,
}

impl Extractor<'_> {
    /// Removes what stands at `place`, with all that is in it.
    pub(super) fn remove(&mut self, place: &Place<'_>) -> Result<(), ArchiveError> {
        self.put_aside(place)?;
        let removed = remove_tree(place.as_fd(), place.name).map_err(place.failed("replace"))?;
        self.size = self.size.saturating_sub(removed.size);
        if removed.changes_paths {
            self.directories.forget();
        }
        Ok(())
    }

    pub(super) fn remove_if_present(&mut self, place: &Place<'_>) -> Result<(), ArchiveError> {
        match statat(place, place.name, NO_FOLLOW) {
            Ok(_) => self.remove(place),
            // A name that is too long only with the mark of a whiteout.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(()),
            Err(errno) => Err(place.failed("look up")(errno)),
        }
    }
}

/// Removes a file, or a directory with all that is in it.
pub(crate) fn remove_tree(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Removed, Errno> {
    remove_below(directory, name, MAX_DEPTH)
}

fn remove_below(
    directory: BorrowedFd<'_>,
    name: impl rustix::path::Arg + Copy,
    depth: usize,
) -> Result<Removed, Errno> {
    let stat = statat(directory, name, NO_FOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::Directory {
        unlinkat(directory, name, AtFlags::empty())?;
        let changes_paths = kind == FileType::Symlink;
        return Ok(Removed { size: counted_size(&stat), changes_paths });
    }
    let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let child = openat(directory, name, flags, Mode::empty())?;
    let mut total = Removed { size: 0, changes_paths: true };
    for entry in Dir::read_from(&child)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            total.size += remove_below(child.as_fd(), name, depth)?.size;
        }
    }
    unlinkat(directory, name, AtFlags::REMOVEDIR)?;
    Ok(total)
}

/// What a file counted for in the layer's size, now that one name of it is gone.
fn counted_size(stat: &Stat) -> u64 {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if stat.st_nlink == 1 && matches!(kind, FileType::RegularFile | FileType::Symlink) {
        u64::try_from(stat.st_size).unwrap_or(0)
    } else {
        0
    }
}
