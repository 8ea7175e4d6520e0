//! Tidying up after processes that died, when a data root is opened.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::garbage::Trash;
use crate::lease::{Entry, Item};
use crate::lock::Transaction;
use crate::{Store, StoreError, files, ingest, lease};

/// Ends the leases of dead processes and removes what they were preparing.
///
/// Damage is reported in the log and does not keep the root from being opened.
pub(crate) fn sweep(store: &Store) -> Result<(), StoreError> {
    if is_tidy(store)? {
        return Ok(());
    }
    let mut trash = Trash::new(store);
    let transaction = store.removal()?;
    let (living, dead) = lease::list(store)?;
    for id in dead {
        match lease::end(store, &transaction, &id, false) {
            Ok(more) => trash.append(more),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, lease = id, "lease of a dead process not ended");
            }
        }
    }
    forget_removed_images(store, &transaction, &mut trash)?;
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
    let blobs = trash.take_leftovers(store)?;
    if !blobs.is_empty() {
        store.collect(&transaction, &blobs, None, &mut trash)?;
    }
    ingest::sweep(store, &transaction, &mut trash)?;
    drop(transaction);
    trash.empty();
    Ok(())
}

/// The folders in which processes leave something when they die.
pub(crate) fn own_folders(store: &Store) -> [PathBuf; 4] {
    let paths = store.paths();
    [paths.leases(), paths.staging(), paths.ingest(), paths.mounts_of_ours()]
}

/// Says whether there is nothing to do, without the lock: whoever only reads waits for nobody.
fn is_tidy(store: &Store) -> Result<bool, StoreError> {
    let paths = store.paths();
    for directory in own_folders(store).into_iter().chain([paths.trash()]) {
        if !files::all_names(&directory)?.is_empty() {
            return Ok(false);
        }
    }
    // The last image that went did so before the list of manifests was written: it was Longshore that removed it.
    let changed = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_err(|error| StoreError::io("look at", path, error))
    };
    Ok(changed(&paths.configs())? <= changed(&paths.content_index())?)
}

/// Removes the manifests and blobs of images that a dockerd has removed, which knows nothing of them.
fn forget_removed_images(
    store: &Store,
    transaction: &Transaction,
    trash: &mut Trash,
) -> Result<(), StoreError> {
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
    Ok(())
}
