//! Tidying up after processes that died, when a data root is opened.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::disk::Durability;
use crate::driver::{Driver, packed};
use crate::ingest::sweep as downloads;
use crate::lock::Transaction;
use crate::paths::is_cache_id;
use crate::{Store, StoreError, files};

use super::journal::{self, Entry, Item};
use super::renewal;
use super::trash::Trash;

/// Ends the leases of dead processes and removes what they were preparing.
///
/// Damage is reported in the log and does not keep the root from being opened.
pub(crate) fn sweep(store: &Store) -> Result<(), StoreError> {
    if is_tidy(store)? {
        return Ok(());
    }
    let mut trash = Trash::new(store);
    let transaction = store.removal()?;
    let (living, dead) = journal::list(store)?;
    for id in dead {
        match sync_published(store, &id).and_then(|()| end(store, &transaction, &id, false)) {
            Ok(more) => trash.append(more),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, lease = id, "lease of a dead process not ended");
            }
        }
    }
    forget_removed_images(store, &transaction, &mut trash)?;
    files::sound(store.sweep_uses().map(Some));
    store.sweep_mounts(&transaction, &mut trash)?;
    let staging = store.paths().staging();
    for name in files::names(&staging)? {
        // Files of transactions are no exception: no transaction runs but this one.
        let is_alive =
            name.split_once('.').is_some_and(|(lease, _)| living.iter().any(|id| id == lease));
        if !is_alive {
            trash.take(&staging.join(name))?;
        }
    }
    for folder in own_folders(store) {
        for name in files::all_names(&folder)?.iter().filter(|name| name.to_str().is_none()) {
            trash.take(&folder.join(name))?;
        }
    }
    let blobs = take_leftovers(store, &mut trash)?;
    if !blobs.is_empty() {
        store.collect(&transaction, &blobs, None, &mut trash)?;
    }
    downloads::sweep(store, &transaction, &mut trash)?;
    if living.is_empty() {
        renewal::renew(store, &transaction);
    }
    drop(transaction);
    trash.empty();
    Ok(())
}

/// Syncs what a dead process may have published: once its lease has ended, what is here counts as being on the disk.
fn sync_published(store: &Store, id: &str) -> Result<(), StoreError> {
    let entries = files::sound(journal::entries(&store.paths().leases().join(id)).map(Some));
    if entries.unwrap_or_default().iter().any(Entry::is_pending) {
        Durability::watch(store.disk(), store.root())?.sync()?;
    }
    Ok(())
}

/// Ends the lease `id`, which is the caller's or a dead process's.
pub(crate) fn end(
    store: &Store,
    transaction: &Transaction,
    id: &str,
    settled: bool,
) -> Result<Trash, StoreError> {
    let path = store.paths().leases().join(id);
    let mut candidates = files::sound(journal::entries(&path).map(Some)).unwrap_or_default();
    candidates.retain(|entry| match entry {
        Entry::Hold(_) => false,
        Entry::Orphan(_) => true,
        entry => !settled && entry.is_pending(),
    });
    let mut trash = Trash::new(store);
    let mut postponed = false;
    if !candidates.is_empty() {
        let collected = store.collect(transaction, &candidates, Some(id), &mut trash)?;
        postponed = collected.postponed;
    }
    trash.take_staged(id)?;
    if !postponed && store.disk().remove_file(&path).is_err() {
        // It is no file.
        trash.take(&path)?;
    }
    Ok(trash)
}

/// Takes over what an earlier process could not delete any more; returns the blobs of packed layers among it, which may
/// have no other use.
fn take_leftovers(store: &Store, trash: &mut Trash) -> Result<Vec<Entry>, StoreError> {
    let mut blobs = Vec::new();
    let entries = trash.left_entries()?;
    for entry in &entries {
        match store.layer_driver() {
            Driver::Packed(_) => {
                blobs.extend(packed::blob(entry).ok().map(|d| Entry::Pending(Item::Blob(d))));
            }
            Driver::Overlay2(overlay) => {
                let cache_id = files::read_note(&entry.join("cache-id"));
                if let Some(cache_id) = cache_id.filter(|id| is_cache_id(id)) {
                    overlay.remove(&cache_id, trash)?;
                }
            }
        }
    }
    if !entries.is_empty() {
        // The entries know what goes with them: it must not be back when they are gone.
        store.layer_driver().sync_names()?;
    }
    trash.take_over()?;
    Ok(blobs)
}

/// The folders in which processes leave something when they die.
pub(crate) fn own_folders(store: &Store) -> [PathBuf; 4] {
    let paths = store.paths();
    [paths.leases(), paths.staging(), paths.ingest(), paths.mount_notes()]
}

/// Says whether there is nothing to do, without the lock: whoever only reads waits for nobody.
fn is_tidy(store: &Store) -> Result<bool, StoreError> {
    let paths = store.paths();
    for directory in own_folders(store).into_iter().chain([paths.trash()]) {
        if !files::all_names(&directory)?.is_empty() {
            return Ok(false);
        }
    }
    for (directory, _) in renewal::growing(store) {
        if renewal::is_outgrown(&directory)? {
            return Ok(false);
        }
    }
    // The last image that went did so before the list of manifests was written, or dated: it was Longshore that removed it, or a sweep
    // has seen it.
    Ok(changed(&paths.configs())? <= changed(&paths.content_index())?)
}

/// Removes the manifests and blobs of images that a dockerd has removed, which knows nothing of them.
fn forget_removed_images(
    store: &Store,
    transaction: &Transaction,
    trash: &mut Trash,
) -> Result<(), StoreError> {
    let seen = changed(&store.paths().configs())?;
    let mut listed = match store.listed_images() {
        Ok(listed) => listed,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "list of manifests not read");
            return Ok(());
        }
    };
    if !listed.is_empty() {
        let there: HashSet<_> = store.images()?.into_iter().collect();
        let Some(references) = files::sound(store.references().map(Some)) else { return Ok(()) };
        // dockerd takes the names first: an image that has one has lost its config in another way, and the content brings it back.
        listed.retain(|id| !there.contains(id) && references.of_image(id).is_empty());
    }
    if !listed.is_empty() {
        let gone: Vec<_> = listed.into_iter().map(|id| Entry::Pending(Item::Image(id))).collect();
        store.collect(transaction, &gone, None, trash)?;
    }
    note_tidy(store, seen);
    Ok(())
}

/// Notes that of the images that were removed until then nothing is left, so that no start looks again. It is said by the date of the
/// list of manifests: where it is lost, or cannot be said, the next start looks again.
fn note_tidy(store: &Store, until: SystemTime) {
    if until > SystemTime::now() {
        // The clock was ahead: what is removed from now on would count as seen.
        return;
    }
    let path = store.paths().content_index();
    let noted = changed(&path).map(|listed| listed >= until).and_then(|is_noted| {
        if is_noted {
            return Ok(());
        }
        let file = store.disk().open(&path, OpenOptions::new().write(true));
        file.and_then(|file| file.set_modified(until))
            .map_err(|error| StoreError::io("date", &path, error))
    });
    if let Err(error) = noted {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "the next start looks for removed images again");
    }
}

/// Returns when a file or directory was changed.
fn changed(path: &Path) -> Result<SystemTime, StoreError> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(|error| StoreError::io("look at", path, error))
}
