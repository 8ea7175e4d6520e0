//! Leftovers that a start removes: files that were being written, abandoned uploads, content without owner.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::{IoContext as _, ServerError};

use super::publish::names;
use super::{Storage, found};

/// As long as the reference registry waits by default: an upload that nobody has touched since is
/// one that nobody will finish.
const UPLOAD_AGE: Duration = Duration::from_hours(7 * 24);

impl Storage {
    pub(super) fn sweep(&self) -> Result<(), ServerError> {
        let temporary = self.root.join("tmp");
        for name in names(&temporary)? {
            remove(&temporary.join(name))?;
        }
        let mut owned = HashSet::new();
        let oldest = SystemTime::now().checked_sub(UPLOAD_AGE);
        self.each_repository(|_, folder| {
            for kind in ["_layers", "_manifests"] {
                let folder = folder.join(kind);
                for algorithm in names(&folder)? {
                    let digests = names(&folder.join(&algorithm))?.into_iter();
                    owned.extend(digests.map(|hex| format!("{algorithm}/{hex}")));
                }
            }
            sweep_uploads(&folder.join("_uploads"), oldest)
        })?;
        let blobs = self.root.join("blobs");
        for algorithm in names(&blobs)? {
            for hex in names(&blobs.join(&algorithm))? {
                let path = format!("{algorithm}/{hex}");
                if !owned.contains(&path) {
                    remove(&blobs.join(path))?;
                }
            }
        }
        Ok(())
    }
}

fn sweep_uploads(folder: &Path, oldest: Option<SystemTime>) -> Result<(), ServerError> {
    for name in names(folder)? {
        let path = folder.join(name);
        let modified = found(fs::metadata(&path).and_then(|metadata| metadata.modified()));
        let modified = modified.context("examine", &path)?;
        if modified.is_some_and(|modified| oldest.is_some_and(|oldest| modified < oldest)) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), ServerError> {
    tracing::debug!(path = %path.display(), "swept");
    found(fs::remove_file(path)).context("remove", path).map(drop)
}
