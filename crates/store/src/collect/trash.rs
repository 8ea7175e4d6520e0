//! The trash: files on their way out.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::room::reserve::Reserve;
use crate::{Store, StoreError, files};

/// Things that were moved out of the way under the lock, to be deleted outside of it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Trash {
    disk: Disk,
    folder: PathBuf,
    staging: PathBuf,
    moved: Vec<PathBuf>,
    reserve: Reserve,
}

impl Trash {
    pub(crate) fn new(store: &Store) -> Self {
        let paths = store.paths();
        let (folder, staging) = (paths.trash(), paths.staging());
        let (disk, reserve) = (store.disk().clone(), store.reserve());
        Self { disk, folder, staging, moved: Vec::new(), reserve }
    }

    /// Moves a directory here; says whether there was one.
    pub(crate) fn take(&mut self, path: &Path) -> Result<bool, StoreError> {
        let to = self.folder.join(files::random_hex(16)?);
        self.take_as(path, to)
    }

    /// Moves the entry of a layer here. Should this process die before it has taken the layer's files as well, the next start
    /// finds out from the entry which they are.
    pub(super) fn take_entry(&mut self, path: &Path) -> Result<bool, StoreError> {
        let to = self.folder.join(format!("{ENTRY_PREFIX}{}", files::random_hex(16)?));
        self.take_as(path, to)
    }

    fn take_as(&mut self, path: &Path, to: PathBuf) -> Result<bool, StoreError> {
        let moved = self.reserve.insist(|| match self.disk.rename_away(path, &to) {
            Err(error) if error.is_missing() && !files::exists(path)? => Ok(false),
            moved => moved.map(|()| true),
        })?;
        self.moved.extend(moved.then_some(to));
        Ok(moved)
    }

    /// Moves what the lease `id` was preparing here.
    pub(crate) fn take_staged(&mut self, id: &str) -> Result<(), StoreError> {
        let prefix = format!("{id}.");
        for name in files::names(&self.staging)? {
            if name.starts_with(&prefix) {
                self.take(&self.staging.join(name))?;
            }
        }
        Ok(())
    }

    /// Lists the entries of layers that an earlier process could not delete any more.
    pub(super) fn left_entries(&self) -> Result<Vec<PathBuf>, StoreError> {
        let names = files::names(&self.folder)?.into_iter();
        Ok(names.filter(|n| n.starts_with(ENTRY_PREFIX)).map(|n| self.folder.join(n)).collect())
    }

    /// Takes over all that an earlier process could not delete any more.
    pub(super) fn take_over(&mut self) -> Result<(), StoreError> {
        let left = files::all_names(&self.folder)?.into_iter().map(|name| self.folder.join(name));
        self.moved.extend(left.filter(|path| !self.moved.contains(path)).collect::<Vec<_>>());
        Ok(())
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.moved.append(&mut other.moved);
    }

    /// Deletes it. What cannot be deleted now is tried again at the next start.
    pub(crate) fn empty(self) {
        for path in self.moved {
            let removed = match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.disk.remove_tree(&path, &self.folder),
                _ => self.disk.remove_file(&path).map(drop),
            };
            if let Err(error) = removed {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "trash not removed, the next start will do it");
            }
        }
    }
}

/// The beginning of the names of layers' entries in the trash. Nothing that a stranger named gets such a name.
const ENTRY_PREFIX: &str = "entry-";

/// Finds out whether something in the trash tells which files go with it.
pub(crate) fn look_at(path: &Path) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(ENTRY_PREFIX) {
        files::read_text(&path.join("cache-id"))?;
    }
    Ok(())
}
