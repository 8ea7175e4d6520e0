//! Partial downloads at a start.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::file::{STATE_SUFFIX, open_existing, remove, state_path};
use crate::collect::trash::Trash;
use crate::disk::Disk;
use crate::lock::Transaction;
use crate::{Store, StoreError, files};

/// The time that a partial download waits to be continued.
pub(super) const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// Removes what nobody has continued for a week, what belongs to nothing, and what cannot be used.
pub(crate) fn sweep(store: &Store, _: &Transaction, trash: &mut Trash) -> Result<(), StoreError> {
    let directory = store.paths().ingest();
    for name in &files::names(&directory)? {
        let path = directory.join(name);
        if let Err(error) = sweep_one(store.disk(), &directory, name) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a partial download that cannot be used goes");
            trash.take(&path)?;
            trash.take(&state_path(&path))?;
        }
    }
    Ok(())
}

fn sweep_one(disk: &Disk, directory: &Path, name: &str) -> Result<(), StoreError> {
    if let Some(owner) = name.strip_suffix(STATE_SUFFIX) {
        if !files::exists(&directory.join(owner))? {
            disk.remove_file(&directory.join(name))?;
        }
        return Ok(());
    }
    let path = directory.join(name);
    let Some(file) = open_existing(disk, &path)? else { return Ok(()) };
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let written = written.map_err(|error| StoreError::io("look at", &path, error))?;
    let is_old = SystemTime::now().duration_since(written).is_ok_and(|age| age > MAX_AGE);
    let shared = name.split_once('.').map(|(shared, _)| directory.join(shared));
    match shared {
        _ if is_old => remove(disk, &path),
        // A private file is continued only under the shared name.
        Some(shared) if !files::exists(&shared)? => {
            disk.remove_file(&state_path(&shared))?;
            if files::exists(&state_path(&path))? {
                disk.rename(&state_path(&path), &state_path(&shared))?;
            }
            disk.rename(&path, &shared)
        }
        Some(_) => remove(disk, &path),
        None => Ok(()),
    }
}
