//! What a running operation relies on.
//!
//! A lease is a file that its owner holds a flock on. Each line says one thing about one blob, layer or image:
//!
//! ```text
//! hold blob sha256:…                 the operation relies on it
//! pending layer sha256:… <cache id>  the operation publishes or removes it; until it is done nobody knows which
//! orphan layer sha256:…              somebody else removed the last other use of it; whoever ends the lease removes it
//! ```
//!
//! Ending a lease, by its owner or, once the flock is gone, by anybody, removes what is `pending` or `orphan` and that
//! nothing uses. So the file is also the journal of a commit and of a removal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spec::{ChainId, Digest, ImageId};

use crate::durability::Durability;
use crate::garbage::Trash;
use crate::layers::is_cache_id;
use crate::lock::Transaction;
use crate::pins::Pins;
use crate::{Store, StoreError, files, sweep};

/// The largest lease that is read: 125 layers and their blobs make 40 KiB.
const MAX_LEASE: u64 = 16 << 20;

/// Something that can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Item {
    Blob(Digest),
    Layer(ChainId),
    Image(ImageId),
}

/// One line of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Hold(Item),
    Pending(Item),
    /// A layer and the name of its directory, which is garbage if the layer has another one.
    PendingLayer(ChainId, String),
    Orphan(Item),
}

/// Protects blobs, layers and images from removal until it is dropped.
///
/// Hold first and look then: what is there after it was held stays.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    id: String,
    path: PathBuf,
    file: Result<File, Unwritable>,
    /// What a reader holds that could not be written down; none for an operation that writes anyway.
    pins: Option<Pins>,
    durability: Arc<Durability>,
    /// Whether nothing is pending any more, so that only orphans need to be looked at in the end.
    settled: AtomicBool,
}

/// Why a reader has no file: what the system said.
#[derive(Clone, Copy, Debug)]
struct Unwritable(Option<i32>);

impl Store {
    /// Starts an operation.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        self.new_lease(|path| files::create_new(path, 0o600))
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
                    durability: Durability::watch(self.root())?,
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
        self.new_lease(|path| reserve.insist(|| files::create_new(path, 0o600)))
    }

    fn new_lease(
        &self,
        create: impl FnOnce(&Path) -> Result<File, StoreError>,
    ) -> Result<Lease, StoreError> {
        self.make_whole()?;
        let durability = Durability::watch(self.root())?;
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
        let noted = self.writable().and_then(|()| append(&self.path, &held));
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

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes what is about to be published or removed: should this process die, the next one knows.
    pub(crate) fn note(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.writable()?;
        self.settled.store(false, Ordering::Relaxed);
        let _shared = self.store.no_transaction()?;
        append(&self.path, entries)
    }

    /// As [`Lease::note`], in a transaction that is running.
    pub(crate) fn note_in(
        &self,
        transaction: &Transaction,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        self.writable()?;
        self.settled.store(false, Ordering::Relaxed);
        transaction.insist(|| append(&self.path, entries))
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
            let trash = end(&self.store, &transaction, &self.id, settled)?;
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

/// Ends the lease `id`, which is the caller's or a dead process's.
pub(crate) fn end(
    store: &Store,
    transaction: &Transaction,
    id: &str,
    settled: bool,
) -> Result<Trash, StoreError> {
    let path = store.paths().leases().join(id);
    let mut candidates = files::sound(entries(&path).map(Some)).unwrap_or_default();
    candidates.retain(|entry| match entry {
        Entry::Hold(_) => false,
        Entry::Pending(_) | Entry::PendingLayer(..) => !settled,
        Entry::Orphan(_) => true,
    });
    let mut trash = Trash::new(store);
    let mut postponed = false;
    if !candidates.is_empty() {
        let collected = store.collect(transaction, &candidates, Some(id), &mut trash)?;
        postponed = collected.postponed;
    }
    trash.take_staged(id)?;
    if !postponed && files::remove_file(&path).is_err() {
        // It is no file.
        trash.take(&path)?;
    }
    Ok(trash)
}

/// Reads a lease. A line that a power cut tore, or a newer version wrote, says nothing.
pub(crate) fn entries(path: &Path) -> Result<Vec<Entry>, StoreError> {
    let bytes = files::read(path, MAX_LEASE)?.unwrap_or_default();
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    Ok(String::from_utf8_lossy(&bytes[..complete]).lines().filter_map(parse).collect())
}

/// Adds lines to a lease. The caller keeps transactions away or is in one.
pub(crate) fn append(path: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    let text: String = entries.iter().map(print).collect();
    let write = || {
        let mut file = OpenOptions::new().append(true).mode(0o600).open(path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(text.as_bytes());
        if written.is_err() {
            // On a full disk a part may be written, which would spoil what is added next.
            let _ = file.set_len(before);
        }
        written
    };
    write().map_err(|error| StoreError::io("write", path, error))
}

fn print(entry: &Entry) -> String {
    let item = |item: &Item| match item {
        Item::Blob(digest) => format!("blob {digest}"),
        Item::Layer(chain) => format!("layer {chain}"),
        Item::Image(id) => format!("image {id}"),
    };
    match entry {
        Entry::Hold(held) => format!("hold {}\n", item(held)),
        Entry::Pending(pending) => format!("pending {}\n", item(pending)),
        Entry::PendingLayer(chain, cache_id) => format!("pending layer {chain} {cache_id}\n"),
        Entry::Orphan(orphan) => format!("orphan {}\n", item(orphan)),
    }
}

fn parse(line: &str) -> Option<Entry> {
    let words: Vec<&str> = line.split(' ').collect();
    if let ["pending", "layer", chain, cache_id] = *words {
        let entry = Entry::PendingLayer(chain.parse().ok()?, cache_id.to_owned());
        return is_cache_id(cache_id).then_some(entry);
    }
    let [verb, kind, digest] = *words else { return None };
    let item = match kind {
        "blob" => Item::Blob(digest.parse().ok()?),
        "layer" => Item::Layer(digest.parse().ok()?),
        "image" => Item::Image(digest.parse().ok()?),
        _ => return None,
    };
    match verb {
        "hold" => Some(Entry::Hold(item)),
        "pending" => Some(Entry::Pending(item)),
        "orphan" => Some(Entry::Orphan(item)),
        _ => None,
    }
}

/// Returns the leases whose owners live, by their IDs, and those whose owners do not.
pub(crate) fn list(store: &Store) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let leases = store.paths().leases();
    let (mut living, mut dead) = (Vec::new(), Vec::new());
    for id in files::names(&leases)? {
        let path = leases.join(&id);
        let file = match files::open(&path) {
            Ok(Some(file)) => file,
            Ok(None) if !files::exists(&path)? => continue,
            // It is no lease.
            Ok(None) | Err(StoreError::Damaged { .. }) => {
                dead.push(id);
                continue;
            }
            Err(error) => return Err(error),
        };
        // Shared, lest two that look at the same time take each other for the owner.
        match file.try_lock_shared() {
            Ok(()) => dead.push(id),
            Err(std::fs::TryLockError::WouldBlock) => living.push(id),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(StoreError::io("lock", path, error));
            }
        }
    }
    Ok((living, dead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_says_what_was_written_and_nothing_else() {
        let digest = Digest::sha256(b"x");
        let all = [
            Entry::Hold(Item::Blob(digest.clone())),
            Entry::Pending(Item::Image(ImageId::new(digest.clone()))),
            Entry::PendingLayer(ChainId::new(digest.clone()), "0a1b".to_owned()),
            Entry::Orphan(Item::Layer(ChainId::new(digest.clone()))),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        let mut text: String = all.iter().map(print).collect();
        for bad in [
            "",
            "hold",
            "hold blob sha256:zz",
            "keep blob sha256:",
            &format!("pending layer {digest} ../../etc"),
            &format!("pending layer {digest} "),
            &format!("hold thing {digest}"),
        ] {
            text = format!("{text}{bad}\n");
        }
        // Torn in the middle.
        std::fs::write(&path, format!("{text}hold blob {digest}")).unwrap();
        assert_eq!(entries(&path).unwrap(), all);
    }
}
