//! Directories that many names have made large, made anew.
//!
//! File systems as ext4 never give back the blocks of a directory, and each start would read them all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lock::Transaction;
use crate::{Store, StoreError, files};

/// The size above which an empty directory is made anew: below it are those of some hundred names.
const LARGE: u64 = 64 << 10;

/// Says whether a directory is large and has nothing in it.
pub(super) fn is_outgrown(path: &Path) -> Result<bool, StoreError> {
    let is_large = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.len() > LARGE);
    Ok(is_large && files::all_names(path)?.is_empty())
}

/// The directories that have many names for a while, each with one where its successor is made.
pub(super) fn growing(store: &Store) -> [(PathBuf, PathBuf); 3] {
    let paths = store.paths();
    [
        (paths.staging(), paths.trash()),
        (paths.trash(), paths.staging()),
        (paths.last_uses(), paths.staging()),
    ]
}

/// Puts new directories in the places of those that are outgrown.
///
/// No operation may live, and none begins in a transaction. Whoever uses a directory without either has to put up with its
/// absence; the system replaces none that is not empty.
pub(super) fn renew(store: &Store, _transaction: &Transaction) {
    for (directory, aside) in growing(store) {
        if let Err(error) = renew_one(store, &directory, &aside) {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "a large directory stays as it is");
        }
    }
}

fn renew_one(store: &Store, directory: &Path, aside: &Path) -> Result<(), StoreError> {
    if !is_outgrown(directory)? {
        return Ok(());
    }
    let successor = aside.join(files::random_hex(16)?);
    store.disk().make_dir(&successor, 0o700)?;
    let renewed = store.disk().rename(&successor, directory);
    if renewed.is_err() {
        store.disk().remove_tree(&successor, aside)?;
    }
    renewed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::tests::Root;

    /// Makes a directory large, where the file system is one that keeps it so.
    fn grow(directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let names = (0..1000).map(|number| directory.join(format!("{number:0>200}")));
        for name in names.clone() {
            fs::write(name, "").unwrap();
        }
        for name in names {
            fs::remove_file(name).unwrap();
        }
    }

    #[test]
    fn a_start_makes_large_empty_directories_anew() {
        let root = Root::packed();
        let directories = growing(&root.store).map(|(directory, _)| directory);
        for directory in &directories {
            grow(directory);
        }
        let inode = |path: &PathBuf| fs::metadata(path).unwrap().ino();
        let before = directories.each_ref().map(inode);
        // Somebody is at work.
        let lease = root.store.lease().unwrap();
        let store = root.reopen();
        assert_eq!(directories.each_ref().map(inode), before);
        drop(lease);
        // The end of a lease leaves nothing, and so the first start finds all three empty.
        drop(store);
        let store = root.reopen();
        for directory in &directories {
            let metadata = fs::metadata(directory).unwrap();
            assert!(metadata.len() <= LARGE, "{}: {}", directory.display(), metadata.len());
            assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{}", directory.display());
            assert!(files::all_names(directory).unwrap().is_empty());
        }
        // What is small stays.
        let after = directories.each_ref().map(inode);
        drop(store);
        root.reopen();
        assert_eq!(directories.each_ref().map(inode), after);
    }

    #[test]
    fn a_directory_with_something_in_it_stays() {
        let root = Root::packed();
        let (directory, aside) = growing(&root.store)[2].clone();
        grow(&directory);
        fs::write(directory.join("a"), "").unwrap();
        assert!(!is_outgrown(&directory).unwrap());
        let successor = aside.join("b");
        root.store.disk().make_dir(&successor, 0o700).unwrap();
        root.store.disk().rename(&successor, &directory).unwrap_err();
        assert!(directory.join("a").is_file());
    }
}
