//! A layer on top of those below it, in one directory, as overlayfs shows them.
//!
//! The layer is unpacked into a directory of its own, where symlinks of the layers below lead nowhere and parents that it leaves out
//! are its own, as for overlayfs. Then what it has takes the place of what is below: a directory joins one, all else
//! replaces. So a tree that is unpacked is that of a mount.
//!
//! Sockets, which no tar can have, stand for what overlayfs has devices and attributes for, as those need privileges: under the
//! name of what a whiteout hides, and under [`OPAQUE`] in a directory that hides all of its name below.

use std::ffi::CString;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chmodat, fchmod, fchown, fgetxattr,
    flistxattr, fremovexattr, fsetxattr, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::apply::{Directories, remove_tree};
use crate::error::failed;
use crate::path::split;
use crate::resolve::append;
use crate::walk::OPAQUE;

const NO_FOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
/// The longest list of attribute names, and the longest value, that Linux has, in bytes.
const MAX_XATTR: usize = 64 << 10;
/// The number of names that are tried for the directory of a layer.
const MAX_TRIES: u64 = 1000;

/// Takes note of an attribute, by path and name, that cannot be set, or returns the error if it is not to be left out for that.
type LeaveOut<'a> = dyn FnMut(&[u8], &[u8], Errno) -> Result<(), Errno> + 'a;

/// The directory of a layer, in the one that it is to be part of. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    root: BorrowedFd<'a>,
    /// `None` for the root itself: there is nothing below the first layer.
    name: Option<String>,
    directory: OwnedFd,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>) -> Result<Self, ArchiveError> {
        let failed = |errno| failed("prepare", b".")(errno);
        if names(root.as_fd()).map_err(failed)?.is_empty() {
            let directory = open(root, ".").map_err(failed)?;
            return Ok(Self { root, name: None, directory });
        }
        // Nobody who makes a layer knows it beforehand.
        let random = RandomState::new();
        for number in 0..MAX_TRIES {
            let name = format!(".longshore-{:016x}", random.hash_one(number));
            match mkdirat(root, &*name, Mode::RWXU) {
                Ok(()) => {
                    let directory = open(root, &*name).map_err(failed)?;
                    return Ok(Self { root, name: Some(name), directory });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Err(failed(Errno::EXIST))
    }

    /// The directory that the layer is unpacked into.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Puts what is in it where it belongs. `owners` says whether owners are set, `marked` whether there are sockets.
    pub(crate) fn merge(
        &self,
        owners: bool,
        marked: bool,
        leave_out: &mut LeaveOut<'_>,
    ) -> Result<(), ArchiveError> {
        let upper = Directories::within(reopened(self.directory())?);
        let lower = Directories::within(reopened(self.root)?);
        let merge = Merge { upper, lower, owners, marked, leave_out };
        match &self.name {
            Some(_) => merge.run(),
            None if marked => merge.take_marks(b""),
            None => Ok(()),
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What is left of it goes with the directory that it is in.
            let _ = remove_tree(self.root, name.as_bytes());
        }
    }
}

struct Merge<'a, 'b> {
    upper: Directories,
    lower: Directories,
    owners: bool,
    marked: bool,
    leave_out: &'a mut LeaveOut<'b>,
}

/// A directory of the layer, and the one that it joins.
struct Pair<'a> {
    upper: &'a OwnedFd,
    lower: &'a OwnedFd,
    path: &'a [u8],
}

impl Merge<'_, '_> {
    fn run(mut self) -> Result<(), ArchiveError> {
        let mut pending = vec![Vec::new()];
        let mut joined = Vec::new();
        while let Some(path) = pending.pop() {
            let listed = failed("list", &path);
            let upper = self.upper.open_plain(&path).map_err(listed)?;
            let lower = self.open_lower(&path)?;
            if !path.is_empty() {
                let leave_out =
                    |name: &CString, errno| (self.leave_out)(&path, name.as_bytes(), errno);
                inherit(&upper, &lower, self.owners, leave_out)
                    .map_err(failed("set the attributes of", &path))?;
            }
            let pair = Pair { upper: &upper, lower: &lower, path: &path };
            for name in names(upper.as_fd()).map_err(failed("list", &path))? {
                if self.put(&pair, &name)? {
                    let mut child = path.clone();
                    append(&mut child, name.as_bytes())?;
                    pending.push(child);
                }
            }
            joined.push(path);
        }
        // Those of a directory come after it.
        for path in joined.iter().rev().filter(|path| !path.is_empty()) {
            let (parent, name) = split(path);
            let removed = self
                .upper
                .open_plain(parent)
                .and_then(|parent| unlinkat(&parent, name, AtFlags::REMOVEDIR));
            removed.map_err(failed("remove", path))?;
        }
        Ok(())
    }

    /// Puts one name of the layer where it belongs. Returns whether it is a directory that joins one.
    fn put(&mut self, pair: &Pair<'_>, name: &CString) -> Result<bool, ArchiveError> {
        let mut path = pair.path.to_vec();
        append(&mut path, name.as_bytes())?;
        let replaced = |errno| failed("replace", &path)(errno);
        let stat = statat(pair.upper, name, NO_FOLLOW).map_err(replaced)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let below = match statat(pair.lower, name, NO_FOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(replaced(errno)),
        };
        if kind == FileType::Directory
            && below == Some(FileType::Directory)
            && !is_opaque(pair.upper.as_fd(), name).map_err(replaced)?
        {
            return Ok(true);
        }
        // A file takes the place of a file by its renaming alone.
        let is_mark = kind == FileType::Socket;
        let in_the_way = below.is_some_and(|below| {
            is_mark || kind == FileType::Directory || below == FileType::Directory
        });
        if in_the_way {
            remove_tree(pair.lower.as_fd(), name.as_bytes()).map_err(replaced)?;
        }
        if is_mark {
            unlinkat(pair.upper, name, AtFlags::empty()).map_err(replaced)?;
            return Ok(false);
        }
        if self.marked && kind == FileType::Directory {
            self.take_marks(&path)?;
        }
        renameat(pair.upper, name, pair.lower, name).map_err(replaced)?;
        Ok(false)
    }

    /// Removes the sockets in a directory of the layer that has nothing below it.
    fn take_marks(&self, path: &[u8]) -> Result<(), ArchiveError> {
        let mut pending = vec![path.to_vec()];
        while let Some(path) = pending.pop() {
            let failed = |errno| failed("look through", &path)(errno);
            let directory = self.upper.open_plain(&path).map_err(failed)?;
            for name in names(directory.as_fd()).map_err(failed)? {
                let stat = statat(&directory, &name, NO_FOLLOW).map_err(failed)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Socket => {
                        unlinkat(&directory, &name, AtFlags::empty()).map_err(failed)?;
                    }
                    FileType::Directory => {
                        let mut child = path.clone();
                        append(&mut child, name.as_bytes())?;
                        pending.push(child);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Opens a directory below the layer. Without root its mode may shut us out, which is the layer's from now on anyway.
    fn open_lower(&self, path: &[u8]) -> Result<OwnedFd, ArchiveError> {
        let opened = match self.lower.open_plain(path) {
            Err(Errno::ACCESS) if !self.owners && !path.is_empty() => {
                let (parent, name) = split(path);
                self.lower
                    .open_plain(parent)
                    .and_then(|parent| chmodat(&parent, name, Mode::RWXU, AtFlags::empty()))
                    .and_then(|()| self.lower.open_plain(path))
            }
            answer => answer,
        };
        opened.map_err(failed("open the directory", path))
    }
}

/// Gives a directory the owner, the attributes and the mode of the one that joins it.
fn inherit(
    from: &OwnedFd,
    to: &OwnedFd,
    owners: bool,
    leave_out: impl FnMut(&CString, Errno) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let stat = fstat(from)?;
    if owners {
        fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    inherit_attributes(from, to, leave_out)?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))
}

fn inherit_attributes(
    from: &OwnedFd,
    to: &OwnedFd,
    mut leave_out: impl FnMut(&CString, Errno) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let wanted = attributes(from)?;
    for name in attributes(to)? {
        if !wanted.contains(&name) {
            // What may not be taken away, as labels of the system, stays.
            let _ = fremovexattr(to, &name);
        }
    }
    let mut value = vec![0; MAX_XATTR];
    let mut present = vec![0; MAX_XATTR];
    for name in &wanted {
        let length = fgetxattr(from, name, &mut value[..])?;
        let value = &value[..length];
        // The system gives both its labels, which may not be set.
        let is_same =
            fgetxattr(to, name, &mut present[..]).is_ok_and(|length| present[..length] == *value);
        if !is_same && let Err(errno) = fsetxattr(to, name, value, XattrFlags::empty()) {
            leave_out(name, errno)?;
        }
    }
    Ok(())
}

fn attributes(file: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut list = vec![0; MAX_XATTR];
    let length = match flistxattr(file, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        answer => answer?,
    };
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

fn is_opaque(directory: BorrowedFd<'_>, name: &CString) -> Result<bool, Errno> {
    let directory = open(directory, name)?;
    match statat(&directory, OPAQUE, NO_FOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Socket),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open(directory: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

fn reopened(directory: BorrowedFd<'_>) -> Result<OwnedFd, ArchiveError> {
    open(directory, ".").map_err(failed("open", b"."))
}

/// All names in a directory: it is changed while they are gone through.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, IFlags, ioctl_setflags};

    use super::*;

    #[test]
    fn an_attribute_that_cannot_be_set_is_told_and_one_that_is_there_is_not_set() {
        let folder = tempfile::tempdir().unwrap();
        let directory = |name: &str, attributes: &[(&str, &[u8])]| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let directory = openat(CWD, &path, OFlags::RDONLY, Mode::empty()).unwrap();
            for (name, value) in attributes {
                fsetxattr(&directory, *name, value, XattrFlags::empty()).unwrap();
            }
            directory
        };
        let upper = directory("upper", &[("user.a", b"1"), ("user.b", b"2"), ("user.c", b"3")]);
        let lower = directory("lower", &[("user.a", b"1"), ("user.b", b"1")]);
        // Nothing can be set on it any more.
        if ioctl_setflags(&lower, IFlags::IMMUTABLE).is_err() {
            return;
        }
        let mut told = Vec::new();
        let taken = inherit_attributes(&upper, &lower, |name, errno| {
            told.push((name.to_str().unwrap().to_owned(), errno));
            Ok(())
        });
        let refused = inherit_attributes(&upper, &lower, |_, errno| Err(errno));
        ioctl_setflags(&lower, IFlags::empty()).unwrap();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = ["user.b", "user.c"].map(|name| (name.to_owned(), Errno::PERM));
        assert_eq!((taken, refused), (Ok(()), Err(Errno::PERM)));
        assert_eq!(told, expected);
    }
}
