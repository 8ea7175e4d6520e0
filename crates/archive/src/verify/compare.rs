//! Looking at what is in a layer's directory.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, XattrFlags, fsetxattr, lgetxattr, major, minor,
    openat, readlinkat, statat,
};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::apply::Directories;
use crate::attributes::{ACCESS_ACL, DEFAULT_ACL, is_left_out, is_mode, is_same_acl};
use crate::options::XattrNamespace;
use crate::path::split;
use crate::split::Checksum;
use crate::tree::Tree;

use super::damages::Damages;
use super::expected::{Expected, InTar};

/// File content that is read at once.
const BUFFER_SIZE: usize = 256 << 10;
/// The largest attribute that Linux has, in bytes.
const MAX_XATTR: usize = 64 << 10;

/// Compares everything below `root` with what is expected of it.
pub(super) fn compare(
    root: &Path,
    expected: &Tree<Expected>,
    damages: &mut Damages,
) -> Result<(), ArchiveError> {
    let directories = Directories::open(root)?;
    let mut comparison = Comparison { directories, damages };
    for (path, expected) in expected.each() {
        comparison.path(&path, expected);
    }
    comparison.strangers(expected);
    Ok(())
}

struct Comparison<'a> {
    directories: Directories,
    damages: &'a mut Damages,
}

impl Comparison<'_> {
    fn path(&mut self, path: &[u8], expected: &Expected) {
        let (parent, name) = split(path);
        let Some(directory) = self.directories.find_plain(parent).ok().flatten() else {
            return self.missing(path, expected);
        };
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let place =
                    Named { root: self.directories.root(), directory: directory.as_fd(), name };
                for problem in place.differences(&stat, expected) {
                    self.damages.add(path, problem);
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR) => self.missing(path, expected),
            Err(errno) => self.damages.add(path, format!("it cannot be looked at: {errno}")),
        }
    }

    /// In a directory that has no entry, the things that were in it are missed.
    fn missing(&mut self, path: &[u8], expected: &Expected) {
        if expected.kind != FileType::Directory || expected.mode.is_some() || expected.opaque {
            self.damages.add(path, "it is gone");
        }
    }

    /// Reports what does not belong to the layer, and nothing of what is in it.
    fn strangers(&mut self, expected: &Tree<Expected>) {
        // By their paths, not by recursion: a layer may nest two thousand directories.
        let mut below = vec![Vec::new()];
        while let Some(path) = below.pop() {
            match self.directories.open_plain(&path) {
                Ok(directory) => self.strangers_in(&directory, &path, expected, &mut below),
                Err(errno) => self.damages.add(&path, format!("it cannot be read: {errno}")),
            }
        }
    }

    fn strangers_in(
        &mut self,
        directory: &OwnedFd,
        path: &[u8],
        expected: &Tree<Expected>,
        below: &mut Vec<Vec<u8>>,
    ) {
        let entries = match Dir::read_from(directory) {
            Ok(entries) => entries,
            Err(errno) => return self.damages.add(path, format!("it cannot be read: {errno}")),
        };
        for entry in entries {
            let Ok(entry) = entry else {
                return self.damages.add(path, "it cannot be read to its end");
            };
            let name = entry.file_name();
            if is_dot(name) {
                continue;
            }
            let mut child = path.to_vec();
            push(&mut child, name.to_bytes());
            match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) if !expected.has(&child) => {
                    self.damages.add(&child, "it does not belong to the layer");
                }
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    below.push(child);
                }
                Ok(_) => {}
                Err(errno) => self.damages.add(&child, format!("it cannot be looked at: {errno}")),
            }
        }
    }
}

/// Appends a component.
fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// A name in a directory of the layer.
#[derive(Clone, Copy)]
struct Named<'a> {
    /// The layer's.
    root: BorrowedFd<'a>,
    directory: BorrowedFd<'a>,
    name: &'a [u8],
}

impl Named<'_> {
    /// Lists how the file differs from what is expected.
    fn differences(self, stat: &Stat, expected: &Expected) -> Vec<String> {
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
        if let Some((uid, gid)) = expected.owner
            && (is_other(stat.st_uid, uid) || is_other(stat.st_gid, gid))
        {
            let is = format!("{}:{}", stat.st_uid, stat.st_gid);
            problems.push(format!("its owner is {is} instead of {uid}:{gid}"));
        }
        problems.extend(self.wrong_content(stat, expected));
        if let Some(expected) = expected.modified {
            let is_same = stat.st_mtime == expected.seconds
                && u64::from(expected.nanoseconds) == stat.st_mtime_nsec;
            if !is_same {
                problems.push("its modification time differs".to_owned());
            }
        }
        if expected.opaque && !self.is_opaque() {
            problems.push("it is no longer marked as opaque".to_owned());
        }
        for (attribute, value) in &expected.xattrs {
            if !self.has_attribute(expected.kind, attribute, value) {
                let attribute = crate::error::printable(attribute);
                problems.push(format!("its attribute {attribute} differs"));
            }
        }
        problems
    }

    fn wrong_content(self, stat: &Stat, expected: &Expected) -> Option<String> {
        match expected.kind {
            FileType::RegularFile if u64::try_from(stat.st_size) != Ok(expected.size) => {
                Some(wrong_size(stat.st_size, expected.size))
            }
            FileType::RegularFile => expected.content.as_ref()?.differs(self.directory, self.name),
            FileType::Symlink => {
                let target = readlinkat(self.directory, self.name, Vec::new());
                let is_same = target.is_ok_and(|target| target.to_bytes() == expected.target);
                (!is_same).then(|| "it is a link to something else".to_owned())
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let device = (i64::from(major(stat.st_rdev)), i64::from(minor(stat.st_rdev)));
                (device != expected.device).then(|| "it is another device".to_owned())
            }
            _ => None,
        }
    }

    fn is_opaque(self) -> bool {
        let attribute = XattrNamespace::Trusted.opaque_attribute().as_bytes();
        self.attribute(attribute, 8).is_ok_and(|value| value == b"y")
    }

    fn attribute(self, attribute: &[u8], size: usize) -> Result<Vec<u8>, Errno> {
        // The only way to name a file by descriptor and component; `lgetxattr` does not follow the latter.
        let mut path = format!("/proc/self/fd/{}/", self.directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(self.name);
        let mut value = vec![0; size.clamp(1, MAX_XATTR)];
        let length = lgetxattr(&*path, attribute, &mut value[..])?;
        value.truncate(length);
        Ok(value)
    }

    fn has_attribute(self, kind: FileType, attribute: &[u8], expected: &[u8]) -> bool {
        let is_acl = attribute == ACCESS_ACL;
        match self.attribute(attribute, expected.len()) {
            Ok(value) if is_acl => is_same_acl(&value, expected),
            Ok(value) => value == expected,
            Err(Errno::NODATA) if is_acl && is_mode(expected) => true,
            Err(Errno::NODATA) => !self.could_have(kind, attribute, expected),
            // What cannot be here was left out when the layer was unpacked.
            Err(errno) => is_left_out(errno) && errno != Errno::RANGE,
        }
    }

    /// Tries on another file whether an attribute can be at all: one that could not was left out when the layer was unpacked.
    fn could_have(self, kind: FileType, attribute: &[u8], value: &[u8]) -> bool {
        let has_any = matches!(kind, FileType::RegularFile | FileType::Directory);
        if !has_any && !attribute.starts_with(b"trusted.") && !attribute.starts_with(b"security.") {
            return false;
        }
        // A file has no default ACL, but its own is of the same form.
        let is_default = kind == FileType::Directory && attribute == DEFAULT_ACL;
        let attribute = if is_default { ACCESS_ACL } else { attribute };
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        // Where none can be made, the doubt is told.
        let Ok(file) = openat(self.root, ".", flags, Mode::RUSR | Mode::WUSR) else { return true };
        fsetxattr(file, attribute, value, XattrFlags::empty()).is_ok()
    }
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
