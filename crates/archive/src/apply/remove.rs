//! Making room for an entry where something of the same layer stands.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, openat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::ArchiveError;

use super::metadata::change_mode_of;
use super::{Extractor, NO_FOLLOW, Place};

/// The depth to which a removal descends at once: each level holds two descriptors open.
const MAX_DEPTH: usize = 64;

/// The result of a removal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removed {
    /// Bytes that the layer has less now.
    size: u64,
    /// Set if paths may mean something else now.
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

/// Removes all that is in a directory, however deep and closed to its owner. Follows no symlink.
pub fn empty_directory(directory: BorrowedFd<'_>) -> io::Result<()> {
    Tree::empty(directory).map(drop).map_err(io::Error::from)
}

/// Removes a file, or a directory with all that is in it.
pub(crate) fn remove_tree(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Removed, Errno> {
    let stat = statat(directory, name, NO_FOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::Directory {
        unlinkat(directory, name, AtFlags::empty())?;
        let changes_paths = kind == FileType::Symlink;
        return Ok(Removed { size: counted_size(&stat), changes_paths });
    }
    let size = Tree::empty(open_closed(directory, name)?.as_fd())?;
    unlinkat(directory, name, AtFlags::REMOVEDIR)?;
    Ok(Removed { size, changes_paths: true })
}

/// A directory that is being emptied.
struct Tree<'a> {
    top: BorrowedFd<'a>,
    /// The number of directories that were moved to the top, as they lay too deep.
    lifted: u64,
    size: u64,
}

impl<'a> Tree<'a> {
    /// Empties a directory; returns what its files counted for.
    fn empty(top: BorrowedFd<'a>) -> Result<u64, Errno> {
        let mut tree = Self { top, lifted: 0, size: 0 };
        loop {
            let lifted = tree.lifted;
            tree.clear(top, MAX_DEPTH)?;
            if tree.lifted == lifted {
                return Ok(tree.size);
            }
        }
    }

    fn clear(&mut self, directory: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = statat(directory, name, NO_FOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                unlinkat(directory, name, AtFlags::empty())?;
                self.size = self.size.saturating_add(counted_size(&stat));
                continue;
            }
            let child = open_closed(directory, name)?;
            match depth.checked_sub(1) {
                Some(depth) => {
                    self.clear(child.as_fd(), depth)?;
                    unlinkat(directory, name, AtFlags::REMOVEDIR)?;
                }
                None => self.lift(directory, name)?,
            }
        }
        Ok(())
    }

    /// Moves a directory to the top, for another round.
    fn lift(&mut self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        loop {
            self.lifted += 1;
            let new = format!(".longshore-{}", self.lifted);
            match renameat_with(directory, name, self.top, new, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                answer => return answer,
            }
        }
    }
}

/// Opens a directory that is to be emptied, and lets its owner into it.
fn open_closed(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let opened = |mode| {
        let flags = mode | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(directory, name, flags, Mode::empty())
    };
    let child = match opened(OFlags::RDONLY) {
        Err(Errno::ACCESS) => opened(OFlags::PATH)?,
        answer => answer?,
    };
    let mode = Mode::from_raw_mode(fstat(&child)?.st_mode & 0o7777);
    if mode.contains(Mode::RWXU) {
        return Ok(child);
    }
    match change_mode_of(&child, mode | Mode::RWXU) {
        // Somebody else's: removing what is in it says what is not allowed.
        Ok(()) | Err(Errno::PERM) => opened(OFlags::RDONLY),
        Err(errno) => Err(errno),
    }
}

/// Returns the bytes that a file counted for in the layer's size, now that one name of it is gone.
fn counted_size(stat: &Stat) -> u64 {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if stat.st_nlink == 1 && matches!(kind, FileType::RegularFile | FileType::Symlink) {
        u64::try_from(stat.st_size).unwrap_or(0)
    } else {
        0
    }
}
