//! The data root as a place where nothing but the store may write.
//!
//! A directory lies in it by its path, or by a bind mount that shows a part of it somewhere else: then the kernel's list
//! of mounts tells that both are one directory of one file system.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use crate::{EngineError, Result};

/// The parts of the data root that Longshore writes to, which may be mounts of their own.
const PARTS: [&str; 3] = ["image", "overlay2", "longshore"];
/// The largest list of mounts, in bytes: tens of thousands of them.
const MAX_MOUNTINFO: u64 = 64 << 20;

/// The data root by the directories that make it up.
#[derive(Debug)]
pub(crate) struct DataRoot {
    path: PathBuf,
    mounts: Vec<Mounted>,
    parts: Vec<Location>,
}

/// A directory of a file system, wherever that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    device: String,
    path: PathBuf,
}

/// A line of the kernel's list of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mounted {
    id: u64,
    root: Location,
    point: PathBuf,
    kind: String,
}

impl DataRoot {
    /// Looks up the data root at `path`.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        let failed =
            |source| EngineError::Directory { action: "look up", path: path.to_owned(), source };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            openat(CWD, path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let real = real_path(&opened).map_err(failed)?;
        // Without `/proc` nothing can be mounted either.
        let mounts = read_mounts().unwrap_or_default();
        let is_part = |mount: &&Mounted| {
            mount.kind != "overlay"
                && PARTS.iter().any(|part| mount.point.starts_with(real.join(part)))
        };
        let mut parts: Vec<_> =
            mounts.iter().filter(is_part).map(|mount| mount.root.clone()).collect();
        parts.extend(location(&opened, &real, &mounts));
        Ok(Self { path: real, mounts, parts })
    }

    /// Returns the path of the data root.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether a directory is the data root or lies in it.
    pub(crate) fn holds(&self, directory: impl AsFd) -> io::Result<bool> {
        let real = real_path(&directory)?;
        if real.starts_with(&self.path) {
            return Ok(true);
        }
        let Some(found) = location(&directory, &real, &self.mounts) else { return Ok(false) };
        let is_in =
            |part: &Location| part.device == found.device && found.path.starts_with(&part.path);
        Ok(self.parts.iter().any(is_in))
    }

    /// Says whether the data root lies in a directory, and would be hidden by what is mounted there.
    pub(crate) fn is_in(&self, directory: impl AsFd) -> io::Result<bool> {
        Ok(self.path.starts_with(real_path(directory)?))
    }
}

/// Returns the path by which the kernel knows an open directory.
pub(crate) fn real_path(directory: impl AsFd) -> io::Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
    let path = readlinkat(CWD, link, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// Finds out which directory of which file system is open here.
fn location(directory: impl AsFd, real: &Path, mounts: &[Mounted]) -> Option<Location> {
    let info = format!("/proc/self/fdinfo/{}", directory.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(info).ok()?;
    let id: u64 =
        info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    let mount = mounts.iter().find(|mount| mount.id == id)?;
    let below = real.strip_prefix(&mount.point).ok()?;
    Some(Location { device: mount.root.device.clone(), path: mount.root.path.join(below) })
}

fn read_mounts() -> io::Result<Vec<Mounted>> {
    let mut text = Vec::new();
    File::open("/proc/self/mountinfo")?.take(MAX_MOUNTINFO).read_to_end(&mut text)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// `36 35 98:0 /root /mount\040point rw,noatime shared:1 - ext3 /dev/root rw`
fn parse(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_owned);
    let id = text(fields.next()?)?.parse().ok()?;
    let device = text(fields.nth(1)?)?;
    let path = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let kind = text(fields.skip_while(|field| *field != b"-").nth(1)?)?;
    Some(Mounted { id, root: Location { device, path }, point, kind })
}

/// Reads a path in which the kernel wrote spaces, tabs, line ends and backslashes as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, others @ ..] = rest {
        rest = others;
        match (first, others) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', others @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = others;
            }
            _ => bytes.push(*first),
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mounts_are_read() {
        let line =
            b"36 35 98:0 /a /mnt\\0402\\134 rw,noatime master:1 shared:2 - ext3 /dev/root rw";
        let root = Location { device: "98:0".to_owned(), path: PathBuf::from("/a") };
        let point = PathBuf::from("/mnt 2\\");
        assert_eq!(parse(line), Some(Mounted { id: 36, root, point, kind: "ext3".to_owned() }));
        for broken in [&b""[..], b"x", b"36 35 98:0 /a", b"36 35 98:0 /a /b rw shared:1"] {
            assert_eq!(parse(broken), None);
        }
    }

    #[test]
    fn what_lies_in_the_data_root_is_known_by_path_and_by_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("image/overlay2")).unwrap();
        std::fs::create_dir(folder.path().join("root2")).unwrap();
        std::os::unix::fs::symlink("root/image", folder.path().join("link")).unwrap();
        let data_root = DataRoot::find(&root).unwrap();
        for (name, holds, is_in) in [
            ("root", true, true),
            ("root/image/overlay2", true, false),
            ("link", true, false),
            ("root2", false, false),
            (".", false, true),
        ] {
            let directory = File::open(folder.path().join(name)).unwrap();
            assert_eq!(data_root.holds(&directory).unwrap(), holds, "{name}");
            assert_eq!(data_root.is_in(&directory).unwrap(), is_in, "{name}");
        }
    }
}
