//! The content of a directory.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use spec::Digest;

/// Every path with all that is said of it.
#[derive(Debug)]
pub(crate) struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    pub(crate) fn of(root: &Path) -> Self {
        let mut tree = BTreeMap::new();
        let mut pending = vec![root.to_owned()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                // overlayfs lists a whiteout that has nothing to hide, and then says that there is no such thing.
                let Ok(stat) = fs::symlink_metadata(&path) else { continue };
                tree.insert(path.strip_prefix(root).unwrap().to_owned(), describe(&path, &stat));
                if stat.is_dir() {
                    pending.push(path);
                }
            }
        }
        Self(tree)
    }

    /// Says where the two differ.
    pub(crate) fn compare(&self, other: &Self) -> Result<(), String> {
        let paths = self.0.keys().chain(other.0.keys());
        let differing = paths.filter(|path| self.0.get(*path) != other.0.get(*path));
        let lines: Vec<String> = differing
            .map(|path| {
                let nothing = "nothing".to_owned();
                let [one, other] =
                    [self, other].map(|tree| tree.0.get(path).unwrap_or(&nothing).clone());
                format!("{}: {one} against {other}", path.display())
            })
            .collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.join("; ")) }
    }
}

fn describe(path: &Path, stat: &fs::Metadata) -> String {
    let kind = stat.file_type();
    let (what, modified) = if kind.is_dir() {
        // Those that no entry names were made now.
        ("directory".to_owned(), String::new())
    } else {
        let what = if kind.is_file() {
            format!("file {}", Digest::sha256(&fs::read(path).unwrap()).short())
        } else if kind.is_symlink() {
            format!("link to {}", fs::read_link(path).unwrap().display())
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            format!("device {}", stat.rdev())
        };
        (what, format!(" {}.{:09}", stat.mtime(), stat.mtime_nsec()))
    };
    let (mode, uid, gid) = (stat.mode() & 0o7777, stat.uid(), stat.gid());
    format!("{what} {mode:04o} {uid}:{gid}{modified}{}", attributes(path))
}

fn attributes(path: &Path) -> String {
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
    let mut names: Vec<_> = list[..length].split(|byte| *byte == 0).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        write!(text, " {}={}", name.escape_ascii(), value[..length].escape_ascii()).unwrap();
    }
    text
}

/// Directories that are mounted on each other. Unmounted when dropped.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts the directories, the topmost first, in a folder at `at`.
    pub(super) fn new(layers: &str, at: &Path) -> io::Result<Self> {
        let [target, empty] = ["target", "empty"].map(|name| at.join(name));
        fs::create_dir_all(&target)?;
        fs::create_dir_all(&empty)?;
        let options = format!("lowerdir={layers}:{}", empty.display());
        let options = std::ffi::CString::new(options)?;
        mount("overlay", &target, "overlay", MountFlags::RDONLY, Some(&*options))?;
        Ok(Self(target))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
