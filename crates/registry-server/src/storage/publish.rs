//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::{IoContext as _, ServerError};

use super::{Durability, Storage, found};

impl Storage {
    /// Creates a folder and those above it. A folder that is there costs one look.
    pub(super) fn create_folder(&self, folder: &Path) -> Result<(), ServerError> {
        if folder.is_dir() {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(folder);
        self.create_folder(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.context("create", folder),
        }?;
        self.sync_folder(parent)
    }

    /// Makes `path` hold `bytes`, replacing what was there.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ServerError> {
        let temporary = self.temporary();
        let mut file = File::create_new(&temporary).context("create", &temporary)?;
        let written = file.write_all(bytes).context("write", &temporary);
        let published = written.and_then(|()| self.publish(&temporary, &file, path));
        if published.is_err() {
            // The error that counts is the one above; the next start sweeps what stays.
            let _ = fs::remove_file(&temporary);
        }
        published
    }

    /// Moves the finished `file` at `from` to `to`.
    pub(super) fn publish(&self, from: &Path, file: &File, to: &Path) -> Result<(), ServerError> {
        let folder = to.parent().unwrap_or(to);
        self.create_folder(folder)?;
        if self.durability == Durability::Synced {
            file.sync_all().context("sync", from)?;
        }
        fs::rename(from, to).context("rename a file to", to)?;
        self.sync_folder(folder)
    }

    /// Removes a file; says whether it was there.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, ServerError> {
        let removed = found(fs::remove_file(path)).context("remove", path)?.is_some();
        if removed && let Some(folder) = path.parent() {
            self.sync_folder(folder)?;
        }
        Ok(removed)
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), ServerError> {
        if self.durability == Durability::Cached {
            return Ok(());
        }
        File::open(folder).and_then(|opened| opened.sync_all()).context("sync", folder)
    }
}

/// The names in a folder; none where it is not there. Names that are not UTF-8 are not ours.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, ServerError> {
    let Some(entries) = found(fs::read_dir(folder)).context("list", folder)? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.context("list", folder)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
