//! Looking at what is in a layer's directory.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, lgetxattr, major, minor, openat, readlinkat, statat,
};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::apply::Directories;
use crate::path::split;
use crate::split::Checksum;

use super::Damages;
use super::expected::{Expectations, Expected, InTar, opaque_attribute};

/// File content that is read at once.
const BUFFER_SIZE: usize = 256 << 10;
/// The largest attribute that Linux has, in bytes.
const MAX_XATTR: usize = 64 << 10;
/// How deep directories may be nested; deeper than any path can name.
const MAX_DEPTH: usize = 2100;

/// A file by what the kernel knows it as.
type Inode = (u64, u64);

/// Compares everything below `root` with what is expected of it.
pub(super) fn compare(
    root: &Path,
    expectations: &Expectations,
    damages: &mut Damages,
) -> Result<(), ArchiveError> {
    let mut comparison = Comparison {
        directories: Directories::open(root)?,
        damages,
        known: HashSet::new(),
        parent: None,
    };
    for (path, expected) in expectations.iter() {
        comparison.path(path, expected);
    }
    for path in expectations.opaque() {
        comparison.opaque(path)?;
    }
    let root = openat(comparison.directories.root(), ".", OPEN_DIRECTORY, Mode::empty());
    if let Ok(root) = root {
        comparison.strangers(root, &mut Vec::new(), 0);
    }
    Ok(())
}

const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Comparison<'a> {
    directories: Directories,
    damages: &'a mut Damages,
    /// What belongs to the layer.
    known: HashSet<Inode>,
    /// The directory that was looked at last.
    parent: Option<Vec<u8>>,
}

impl Comparison<'_> {
    fn path(&mut self, path: &[u8], expected: &Expected) {
        let (parent, name) = split(path);
        self.know_parents(parent);
        let Some(directory) = self.directories.find(parent).ok().flatten() else {
            return self.damages.add(path, "it is gone");
        };
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                self.known.insert(inode(&stat));
                for problem in differences(directory.as_fd(), name, &stat, expected) {
                    self.damages.add(path, problem);
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR) => self.damages.add(path, "it is gone"),
            Err(errno) => self.damages.add(path, format!("it cannot be looked at: {errno}")),
        }
    }

    /// Notes the directories on the way to what belongs to the layer: a tar need not have entries for them.
    fn know_parents(&mut self, parent: &[u8]) {
        if self.parent.as_deref() == Some(parent) {
            return;
        }
        let mut rest = parent;
        while !rest.is_empty() {
            let (above, name) = split(rest);
            // The name itself, which may be a symlink, and what it leads to.
            if let Ok(Some(directory)) = self.directories.find(above)
                && let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
            {
                self.known.insert(inode(&stat));
            }
            if let Ok(Some(directory)) = self.directories.find(rest)
                && let Ok(stat) = rustix::fs::fstat(&directory)
                && !self.known.insert(inode(&stat))
                && self.parent.as_ref().is_some_and(|last| last.starts_with(rest))
            {
                break;
            }
            rest = above;
        }
        self.parent = Some(parent.to_vec());
    }

    fn opaque(&mut self, path: &[u8]) -> Result<(), ArchiveError> {
        let mark = self.directories.find(path)?.map(|directory| {
            let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
            let mut value = [0; 8];
            rustix::fs::getxattr(link, opaque_attribute(), &mut value)
                .map(|length| value[..length].to_vec())
        });
        match mark {
            Some(Ok(value)) if value == b"y" => {}
            None => self.damages.add(path, "it is gone"),
            Some(_) => self.damages.add(path, "it is no longer marked as opaque"),
        }
        Ok(())
    }

    /// Reports what does not belong to the layer, and nothing of what is in it.
    fn strangers(&mut self, directory: OwnedFd, path: &mut Vec<u8>, depth: usize) {
        let entries = match Dir::new(directory) {
            Ok(entries) => entries,
            Err(errno) => return self.damages.add(path, format!("it cannot be read: {errno}")),
        };
        let mut below = Vec::new();
        let Ok(fd) = entries.fd().and_then(|fd| fd.try_clone_to_owned().map_err(|_| Errno::MFILE))
        else {
            return self.damages.add(path, "it cannot be read");
        };
        for entry in entries {
            let Ok(entry) = entry else {
                return self.damages.add(path, "it cannot be read to its end");
            };
            let name = entry.file_name();
            if is_dot(name) {
                continue;
            }
            let length = push(path, name.to_bytes());
            match statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if !self.known.contains(&inode(&stat)) => {
                    self.damages.add(path, "it does not belong to the layer");
                }
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    below.push(name.to_owned());
                }
                Ok(_) => {}
                Err(errno) => self.damages.add(path, format!("it cannot be looked at: {errno}")),
            }
            path.truncate(length);
        }
        for name in below {
            let length = push(path, name.to_bytes());
            match openat(&fd, &*name, OPEN_DIRECTORY, Mode::empty()) {
                Ok(directory) if depth < MAX_DEPTH => self.strangers(directory, path, depth + 1),
                Ok(_) => self.damages.add(path, "it is nested too deeply to be looked at"),
                Err(errno) => self.damages.add(path, format!("it cannot be read: {errno}")),
            }
            path.truncate(length);
        }
    }
}

/// Appends a component; returns the length before.
fn push(path: &mut Vec<u8>, name: &[u8]) -> usize {
    let length = path.len();
    if length > 0 {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    length
}

fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

fn inode(stat: &Stat) -> Inode {
    (stat.st_dev, stat.st_ino)
}

/// Lists how a file differs from what is expected, its content aside.
fn differences(
    directory: BorrowedFd<'_>,
    name: &[u8],
    stat: &Stat,
    expected: &Expected,
) -> Vec<String> {
    if FileType::from_raw_mode(stat.st_mode) != expected.kind {
        return vec![wrong_kind(stat.st_mode, expected.kind)];
    }
    let mut problems = Vec::new();
    let mode = stat.st_mode & 0o7777;
    if let Some(expected) = expected.mode.filter(|expected| *expected != mode) {
        problems.push(format!("its mode is {mode:04o} instead of {expected:04o}"));
    }
    // The ID -1 means to leave it, for the kernel and so for who unpacks.
    let is_other = |is: u32, expected: u32| expected != u32::MAX && is != expected;
    if is_other(stat.st_uid, expected.uid) || is_other(stat.st_gid, expected.gid) {
        problems.push(format!(
            "its owner is {}:{} instead of {}:{}",
            stat.st_uid, stat.st_gid, expected.uid, expected.gid
        ));
    }
    match expected.kind {
        FileType::RegularFile if u64::try_from(stat.st_size) != Ok(expected.size) => {
            problems.push(wrong_size(stat.st_size, expected.size));
        }
        FileType::RegularFile => {
            problems.extend(
                expected.content.as_ref().and_then(|content| content.differs(directory, name)),
            );
        }
        FileType::Symlink if !leads_to(directory, name, &expected.target) => {
            problems.push("it is a link to something else".to_owned());
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            let device = (i64::from(major(stat.st_rdev)), i64::from(minor(stat.st_rdev)));
            if device != expected.device {
                problems.push("it is another device".to_owned());
            }
        }
        _ => {}
    }
    if let Some(modified) = expected.modified {
        let is_same = stat.st_mtime == modified.seconds
            && u64::from(modified.nanoseconds) == stat.st_mtime_nsec;
        if !is_same {
            problems.push("its modification time differs".to_owned());
        }
    }
    for (attribute, value) in &expected.xattrs {
        if !has_attribute(directory, name, attribute, value) {
            let attribute = crate::error::printable(attribute);
            problems.push(format!("its attribute {attribute} differs"));
        }
    }
    problems
}

fn leads_to(directory: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> bool {
    readlinkat(directory, name, Vec::new()).is_ok_and(|is| is.to_bytes() == target)
}

impl InTar {
    /// Says how the file of this name differs, if it does.
    fn differs(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let checksum =
            openat(directory, name, flags, Mode::empty()).and_then(|file| self.checksum_of(&file));
        match checksum {
            Ok(checksum) if checksum == self.checksum => None,
            Ok(_) => Some("its content differs".to_owned()),
            Err(errno) => Some(format!("it cannot be read: {errno}")),
        }
    }

    fn checksum_of(&self, file: &OwnedFd) -> Result<[u8; 8], Errno> {
        let mut checksum = Checksum::new();
        let mut buffer = vec![0; BUFFER_SIZE];
        for fragment in &self.fragments {
            let (mut offset, mut left) = (fragment.offset, fragment.length);
            while left > 0 {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_SIZE);
                match rustix::io::pread(file, &mut buffer[..length], offset) {
                    Ok(0) => return Ok(checksum.finish()),
                    Ok(read) => {
                        checksum.update(&buffer[..read]);
                        offset += read as u64;
                        left -= read as u64;
                    }
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(checksum.finish())
    }
}

fn has_attribute(
    directory: BorrowedFd<'_>,
    name: &[u8],
    attribute: &[u8],
    expected: &[u8],
) -> bool {
    // The only way to name a file by descriptor and component; `lgetxattr` does not follow the latter.
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let mut value = vec![0; expected.len().clamp(1, MAX_XATTR)];
    match lgetxattr(&*path, attribute, &mut value[..]) {
        Ok(length) => value[..length] == *expected,
        // What may not be set there was left out when the layer was unpacked.
        Err(Errno::PERM | Errno::OPNOTSUPP) => true,
        Err(_) => false,
    }
}

/// Says that something is of another kind than `expected`.
pub(super) fn wrong_kind(mode: u32, expected: FileType) -> String {
    let is = FileType::from_raw_mode(mode);
    format!("it is {} instead of {}", describe(is), describe(expected))
}

/// Says that a file has another size than `expected`, in bytes.
pub(super) fn wrong_size(size: i64, expected: u64) -> String {
    format!("its size is {size} instead of {expected} bytes")
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "something unknown",
    }
}
