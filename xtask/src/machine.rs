//! Files of this machine, as the content of images.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use test_support::tar::{Entry, Writer};

/// A file or symbolic link that can be read.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// Lists the files and links under `root`, in a fixed order. Files that not everybody may read are
/// left out, even for root: a registry on loopback shows them to everybody. So is what is on
/// another file system.
pub(crate) fn walk(root: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    let Ok(device) = fs::symlink_metadata(root).map(|metadata| metadata.dev()) else {
        return found;
    };
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() != device {
                continue;
            }
            if metadata.is_dir() {
                waiting.push(path);
            } else if metadata.is_symlink() {
                found.push(Found { path, size: 0 });
            } else if metadata.is_file()
                && metadata.mode() & 0o004 != 0
                && File::open(&path).is_ok()
            {
                found.push(Found { path, size: metadata.len() });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Takes files from the front of `pool` until they have `size` bytes, with the blocks that a tar
/// adds to each. A file of more than a quarter of that is left out: it would be the layer.
pub(crate) fn take(pool: &mut VecDeque<Found>, size: u64) -> Vec<Found> {
    let mut taken = Vec::new();
    let mut left = size;
    while left > 0 {
        let Some(file) = pool.pop_front() else { break };
        if tar_size(&file) > size / 4 {
            continue;
        }
        left = left.saturating_sub(tar_size(&file));
        taken.push(file);
    }
    taken
}

/// About what a file takes in a tar.
pub(crate) fn tar_size(file: &Found) -> u64 {
    file.size.next_multiple_of(512) + 512
}

/// Adds files to a layer, with their folders, owners, modes, times and hard links.
#[derive(Debug, Default)]
pub(crate) struct Adder {
    folders: HashSet<PathBuf>,
    links: HashMap<(u64, u64), String>,
}

impl Adder {
    pub(crate) fn add<W: Write>(&mut self, tar: &mut Writer<W>, file: &Found) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(&file.path) {
            Ok(metadata) => metadata,
            // Gone since the walk: this machine is in use.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(name) = name(&file.path) else { return Ok(()) };
        if let Some(folder) = file.path.parent() {
            self.add_folder(tar, folder)?;
        }
        if metadata.is_symlink() {
            let target = fs::read_link(&file.path)?;
            let Some(target) = target.to_str() else { return Ok(()) };
            return tar.append(&with(Entry::symlink(name, target), &metadata));
        }
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&inode) {
                return tar.append(&with(Entry::hard_link(name, first), &metadata));
            }
            self.links.insert(inode, name.clone());
        }
        let content = File::open(&file.path)?;
        tar.append_from(&with(Entry::file(name, ""), &metadata), content, metadata.len())
    }

    fn add_folder<W: Write>(&mut self, tar: &mut Writer<W>, folder: &Path) -> io::Result<()> {
        let Some(name) = name(folder).filter(|name| !name.is_empty()) else { return Ok(()) };
        if !self.folders.insert(folder.to_owned()) {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.add_folder(tar, parent)?;
        }
        tar.append(&with(Entry::directory(name), &fs::symlink_metadata(folder)?))
    }
}

/// The name in an archive; names that are not UTF-8 are left out.
fn name(path: &Path) -> Option<String> {
    path.strip_prefix("/").unwrap_or(path).to_str().map(str::to_owned)
}

fn with(entry: Entry, metadata: &Metadata) -> Entry {
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    entry
        .mode(metadata.mode() & 0o7777)
        .owner(metadata.uid(), metadata.gid())
        .modified(metadata.mtime(), nanoseconds)
}
