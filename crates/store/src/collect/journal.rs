//! The journal of a running operation: the items that it relies on, publishes or removes.
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

use std::fs::OpenOptions;
use std::path::Path;

use spec::{ChainId, Digest, ImageId};

use crate::disk::Disk;
use crate::paths::is_cache_id;
use crate::{Store, StoreError, files};

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

impl Entry {
    /// Says whether it is about something that is published or removed, and nobody knows which.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Self::Pending(_) | Self::PendingLayer(..))
    }
}

/// Reads a lease. A line that a power cut tore, or a newer version wrote, says nothing.
pub(crate) fn entries(path: &Path) -> Result<Vec<Entry>, StoreError> {
    let bytes = files::read(path, MAX_LEASE)?.unwrap_or_default();
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    Ok(String::from_utf8_lossy(&bytes[..complete]).lines().filter_map(parse).collect())
}

/// Adds lines to a lease. The caller keeps transactions away or is in one.
pub(crate) fn append(disk: &Disk, path: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    let text: String = entries.iter().map(print).collect();
    let write = || {
        let file = disk.open(path, OpenOptions::new().append(true))?;
        let before = file.metadata()?.len();
        let written = disk.write_all(&file, text.as_bytes());
        if written.is_err() {
            // On a full disk a part may be written, which would spoil what is added next.
            let _ = disk.set_size(&file, before);
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

/// Fuzz target: a line that says something is written as one that says the same, and names no directory elsewhere.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines() {
        let Some(entry) = parse(line) else { continue };
        if let Entry::PendingLayer(_, cache_id) = &entry {
            assert!(!cache_id.is_empty() && !cache_id.contains(['/', '.', '\0']), "{cache_id:?}");
        }
        let written = print(&entry);
        let read = written.strip_suffix('\n').and_then(parse);
        assert_eq!(read.as_ref(), Some(&entry), "{written:?}");
    }
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
