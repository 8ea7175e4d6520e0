//! Removing trees of which nobody knows how deep they are.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat, renameat};

use crate::files;

/// Removes a tree, however deep: what a layer holds was named by a stranger.
///
/// `attic` is a directory of the same file system where deep parts may be put meanwhile.
pub(super) fn remove(path: &Path, attic: &Path) -> io::Result<()> {
    let mut trees = vec![path.to_owned()];
    while let Some(tree) = trees.pop() {
        let error = match fs::remove_dir_all(&tree) {
            Ok(()) => continue,
            Err(error) if files::is_missing(&error) => continue,
            Err(error) => error,
        };
        // The standard library holds a descriptor a level: thousands of levels run out of them. Cut the tree in two.
        let Some(part) = cut(&tree, attic)? else {
            return Err(error);
        };
        trees.push(tree);
        trees.push(part);
    }
    Ok(())
}

/// Moves a directory deep inside of `tree` into `attic`; `None` if there is none in it.
///
/// The standard library removed what came before the place where it gave up, so the first directory of each level leads
/// there.
fn cut(tree: &Path, attic: &Path) -> io::Result<Option<PathBuf>> {
    // Far below the 1024 descriptors that a process has at least.
    const LEVELS: usize = 256;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(CWD, tree, flags, Mode::empty())?;
    let mut deepest = None;
    for _ in 0..LEVELS {
        let Some(name) = first_directory(&at)? else { break };
        let next = openat(&at, &*name, flags, Mode::empty())?;
        deepest = Some((at, name));
        at = next;
    }
    let Some((parent, name)) = deepest else { return Ok(None) };
    let part = attic.join(files::random_hex(16).map_err(io::Error::other)?);
    renameat(&parent, &*name, CWD, &part)?;
    Ok(Some(part))
}

fn first_directory(at: &OwnedFd) -> rustix::io::Result<Option<CString>> {
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn removes_trees_that_are_deeper_than_the_descriptors_reach() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, attic) = (dir.path().join("tree"), dir.path().join("attic"));
        fs::create_dir(&attic).unwrap();
        fs::create_dir(&tree).unwrap();
        let mut at = openat(CWD, &tree, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        remove(&tree, &attic).unwrap();
        assert!(!tree.exists());
        assert!(files::names(&attic).unwrap().is_empty());
    }
}
