//! Leases: a running operation holds items against removal, and notes those that it publishes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spec::{ChainId, Digest, ImageId};

use crate::disk::Durability;
use crate::lock::Transaction;
use crate::{Store, StoreError, files};

use super::journal::{Entry, Item, append};
use super::pins::Pins;
use super::sweep;

/// Protects blobs, layers and images from removal until it is dropped.
///
/// Hold first and look then: what is there after it was held stays.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    id: String,
    path: PathBuf,
    file: Result<File, Unwritable>,
    /// The images that a reader holds without writing it down; none for an operation that writes anyway.
    pins: Option<Pins>,
    durability: Arc<Durability>,
    /// Set if nothing is pending any more, so that only orphans need to be looked at in the end.
    settled: AtomicBool,
}

/// The answer of the system to a reader who could not make a file.
#[derive(Clone, Copy, Debug)]
struct Unwritable(Option<i32>);

impl Store {
    /// Starts an operation.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        self.new_lease(|path| self.disk().create_new(path, 0o600))
    }

    /// Starts an operation that only reads. Where no lease can be written, images are held without.
    pub fn reading_lease(&self) -> Result<Lease, StoreError> {
        match self.lease() {
            Ok(mut lease) => {
                lease.pins = Some(Pins::default());
                Ok(lease)
            }
            Err(error) if error.cannot_write() || error.is_missing() => {
                let id = files::random_hex(8)?;
                Ok(Lease {
                    durability: Durability::watch(self.disk(), self.root())?,
                    path: self.paths().leases().join(&id),
                    store: self.clone(),
                    id,
                    file: Err(Unwritable(error.os_error())),
                    pins: Some(Pins::default()),
                    settled: AtomicBool::new(true),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Starts a removal, for which there is room on a full disk, too.
    pub(crate) fn removal_lease(&self) -> Result<Lease, StoreError> {
        let reserve = self.reserve();
        self.new_lease(|path| reserve.insist(|| self.disk().create_new(path, 0o600)))
    }

    fn new_lease(
        &self,
        create: impl FnOnce(&Path) -> Result<File, StoreError>,
    ) -> Result<Lease, StoreError> {
        self.make_whole()?;
        let durability = Durability::watch(self.disk(), self.root())?;
        let id = files::random_hex(8)?;
        let path = self.paths().leases().join(&id);
        // A transaction would take the file for one of a dead process before it is locked.
        let _shared = self.no_transaction()?;
        let file = create(&path)?;
        file.lock().map_err(|error| StoreError::io("lock", &path, error))?;
        let (store, file, settled) = (self.clone(), Ok(file), AtomicBool::new(true));
        Ok(Lease { store, id, path, file, pins: None, durability, settled })
    }
}

impl Lease {
    /// Protects a blob.
    pub fn hold_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        self.hold(Item::Blob(digest.clone()))
    }

    /// Protects a layer and so all below it.
    pub fn hold_layer(&self, chain: &ChainId) -> Result<(), StoreError> {
        self.hold(Item::Layer(chain.clone()))
    }

    /// Protects an image and so its layers and blobs.
    pub fn hold_image(&self, id: &ImageId) -> Result<(), StoreError> {
        self.hold(Item::Image(id.clone()))
    }

    fn hold(&self, item: Item) -> Result<(), StoreError> {
        let _shared = self.store.no_transaction()?;
        let held = [Entry::Hold(item.clone())];
        let noted = self.writable().and_then(|()| append(self.store.disk(), &self.path, &held));
        match (noted, &self.pins, item) {
            (Err(error), Some(pins), item) if self.file.is_err() || error.cannot_write() => {
                match item {
                    Item::Image(id) => pins.pin(self.store.paths(), &id),
                    // Those of an image stay with it.
                    Item::Layer(_) | Item::Blob(_) => Ok(()),
                }
            }
            (noted, ..) => noted,
        }
    }

    /// Fails for a reader that has no file.
    fn writable(&self) -> Result<(), StoreError> {
        let refused = |Unwritable(error): &Unwritable| {
            let source = error.map_or_else(
                || std::io::ErrorKind::ReadOnlyFilesystem.into(),
                std::io::Error::from_raw_os_error,
            );
            StoreError::io("write", &self.path, source)
        };
        self.file.as_ref().map(drop).map_err(refused)
    }

    /// Returns what is told of failed writes since the operation began.
    pub(crate) fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    /// Makes up a path in `staging/` for something that goes with the lease.
    pub(crate) fn staging_path(&self) -> Result<PathBuf, StoreError> {
        Ok(self.staging_path_of(&files::random_hex(8)?))
    }

    pub(crate) fn staging_path_of(&self, name: &str) -> PathBuf {
        self.store.paths().staging().join(format!("{}.{name}", self.id))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes what is about to be published or removed: should this process die, the next one knows.
    pub(crate) fn note(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.writable()?;
        self.settled.store(false, Ordering::Relaxed);
        let _shared = self.store.no_transaction()?;
        append(self.store.disk(), &self.path, entries)
    }

    /// As [`Lease::note`], in a transaction that is running.
    pub(crate) fn note_in(
        &self,
        transaction: &Transaction,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        self.writable()?;
        self.settled.store(false, Ordering::Relaxed);
        transaction.insist(|| append(self.store.disk(), &self.path, entries))
    }

    /// Declares that all that was noted so far has been dealt with.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    fn end(&self) -> Result<(), StoreError> {
        let was_pinned = self.pins.as_ref().is_some_and(Pins::release);
        if self.file.is_ok() {
            let transaction = self.store.removal()?;
            let settled = self.settled.load(Ordering::Relaxed);
            let trash = sweep::end(&self.store, &transaction, &self.id, settled)?;
            drop(transaction);
            trash.empty();
        }
        if !was_pinned {
            return Ok(());
        }
        // A removal may have had to leave the image to us.
        match sweep::sweep(&self.store) {
            Err(error) if error.cannot_write() => Ok(()),
            swept => swept,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            // The file stays without its flock, so the next start ends the lease.
            tracing::warn!(
                lease = self.id,
                error = &error as &dyn std::error::Error,
                "lease not ended"
            );
        }
    }
}
