//! Partial downloads.
//!
//! The file is both the buffer between the network and whoever unpacks, so memory stays flat, and the state of the
//! download, so that a restart goes on where it stopped.
//!
//! ```text
//! ingest/<algorithm>-<hex>            the bytes, with holes; flocked while somebody writes
//! ingest/<algorithm>-<hex>.state      how far each segment is (see `progress`)
//! ingest/<algorithm>-<hex>.<random>   the same download by another process at the same time
//! ```
//!
//! # Concurrency
//!
//! [`SegmentWriter`]s fill disjoint ranges in any order, [`IngestReader`]s follow the contiguous prefix. A reader waits
//! only as long as an [`Ingest`] or a writer exists from which more could come: when the last is dropped, or one calls
//! [`Ingest::fail`], all readers get an error. So whoever reads must not keep an [`Ingest`] of its own.

mod claim;
mod file;
pub(crate) mod leftover;
mod progress;
mod reader;
pub(crate) mod sweep;

#[cfg(any(test, fuzzing))]
pub(crate) use progress::fuzz;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use spec::Digest;

use crate::content::blob::BlobFile;
use crate::disk::{Disk, Durability};
use crate::files::Flocked;
use crate::mutex::lock;
use crate::{Lease, Room, Store, StoreError, VerifiedBlob, files};

pub use self::claim::SegmentWriter;
use self::file::{open_locked, remove, state_path};
use self::progress::Progress;
pub use self::progress::SEGMENT_SIZE;
pub use self::reader::IngestReader;

/// The largest blob that is accepted, in bytes. Registries refuse layers of a hundredth of it; its state takes 1 MiB.
pub const MAX_BLOB_SIZE: u64 = 1 << 40;

/// A download that can be written, read while it is written, and continued later. Clones are the same download.
///
/// Dropping the last clone keeps what was written.
#[derive(Clone, Debug)]
pub struct Ingest {
    source: Arc<Source>,
}

/// Exists as long as bytes can still come.
#[derive(Debug)]
struct Source {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    digest: Digest,
    size: u64,
    path: PathBuf,
    /// Nobody else takes the file for theirs.
    file: Flocked,
    durability: Arc<Durability>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// The ranges that writers have.
    claimed: Vec<Range<u64>>,
    /// The reason why no more bytes come.
    over: Option<String>,
    /// True if the file goes with the last who holds it.
    is_unwanted: bool,
}

impl Store {
    /// Starts to download a blob of `size` bytes, or goes on where an earlier try stopped.
    ///
    /// If another process is downloading the same blob, this one gets a file of its own: nobody waits for another's network.
    /// Where the disk has no room for it, partial downloads that nobody holds make room, the oldest first.
    pub fn ingest(&self, lease: &Lease, digest: &Digest, size: u64) -> Result<Ingest, StoreError> {
        if size > MAX_BLOB_SIZE {
            let what = digest.to_string();
            return Err(StoreError::TooLarge { what, size, limit: MAX_BLOB_SIZE });
        }
        lease.hold_blob(digest)?;
        let directory = self.paths().ingest();
        // A sweep renames files that nobody has locked.
        let unlocked = self.no_transaction()?;
        let shared_path = self.paths().partial(digest);
        let disk = self.disk();
        for path in [&shared_path, &state_path(&shared_path)] {
            disk.make_way(path, &self.paths().trash())?;
        }
        let (path, file) = if let Some(file) = open_locked(disk, &shared_path)? {
            (shared_path, file)
        } else {
            let path = shared_path.with_added_extension(files::random_hex(8)?);
            let taken = || StoreError::damaged(&path, "somebody else has opened it already");
            let file = open_locked(disk, &path)?.ok_or_else(taken)?;
            (path, file)
        };
        drop(unlocked);
        let progress = Progress::open(disk, &state_path(&path), &path, &file, size)?;
        if let Err(error) = find_room(disk, &directory, &path, size - progress.present()) {
            if progress.present() == 0 {
                remove(disk, &path)?;
            }
            return Err(error);
        }
        let state = State { progress, claimed: Vec::new(), over: None, is_unwanted: false };
        let shared = Arc::new(Shared {
            disk: disk.clone(),
            digest: digest.clone(),
            size,
            path,
            file,
            durability: Arc::clone(lease.durability()),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        Ok(Ingest { source: Arc::new(Source { shared }) })
    }
}

impl Ingest {
    /// Returns the digest that the bytes are expected to have.
    pub fn digest(&self) -> &Digest {
        &self.shared().digest
    }

    /// Returns the size of the whole blob in bytes.
    pub fn size(&self) -> u64 {
        self.shared().size
    }

    /// Returns how many bytes are here.
    pub fn present(&self) -> u64 {
        self.shared().state().progress.present()
    }

    /// Returns what is not here yet, in order and without neighbours. Each range may be given to [`Ingest::writer`].
    pub fn missing(&self) -> Vec<Range<u64>> {
        self.shared().state().progress.missing()
    }

    /// Cuts what is missing into at most `count` ranges (but at least one for each gap) of about the same length, for as
    /// many requests at once.
    pub fn missing_in(&self, count: usize) -> Vec<Range<u64>> {
        progress::split(&self.missing(), count)
    }

    /// Takes a range to write.
    ///
    /// It must start at a byte that is here, at the first that is missing behind one, or at a multiple of
    /// [`SEGMENT_SIZE`]; and no other writer may have any of it. Bytes that are already here are skipped, so a server that
    /// ignores `Range` can be written from 0.
    pub fn writer(&self, range: Range<u64>) -> Result<SegmentWriter, StoreError> {
        SegmentWriter::claim(&self.source, range)
    }

    /// Returns a reader that follows the writers from the first byte on.
    pub fn reader(&self) -> IngestReader {
        IngestReader::new(Arc::clone(&self.source.shared))
    }

    /// Gives up: all readers get an error with this reason.
    pub fn fail(&self, reason: impl Into<String>) {
        self.shared().end(reason.into());
    }

    /// Reads and hashes the complete blob, for those who have not read it anyway.
    ///
    /// If it has another digest, the bytes are thrown away, so that the next try starts anew.
    pub fn verify(&self) -> Result<VerifiedBlob, StoreError> {
        let shared = self.shared();
        if let Some(incomplete) = shared.incomplete() {
            return Err(incomplete);
        }
        let mut reader = self.reader();
        reader.drain().map_err(|error| StoreError::io("read", &shared.path, error))?;
        reader.verify()
    }

    /// Throws away what is here.
    pub fn discard(self) {
        self.shared().throw_away("the download was given up");
    }

    fn shared(&self) -> &Shared {
        &self.source.shared
    }
}

impl BlobFile for Shared {
    fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    fn publish(&self, target: &Path) -> Result<(), StoreError> {
        // The name and the verified bytes must belong together, whoever else was at work here.
        if !files::is_at(&self.file, &self.path)? {
            return Err(StoreError::damaged(&self.path, "it is another file than before"));
        }
        self.disk.rename(&self.path, target)?;
        self.disk.remove_file(&state_path(&self.path)).map(drop)
    }

    fn discard(&self) {
        // An image that is still to be published may need what this one does not.
        self.state().is_unwanted = true;
        self.end("the download is finished".to_owned());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Wakes everybody who waits for bytes. The first reason counts.
    fn end(&self, reason: String) {
        self.state().over.get_or_insert(reason);
        self.changed.notify_all();
    }

    fn throw_away(&self, reason: &str) {
        self.end(reason.to_owned());
        // Once it is published, the name may be that of somebody's next try.
        let removed = files::is_at(&self.file, &self.path)
            .and_then(|ours| if ours { remove(&self.disk, &self.path) } else { Ok(()) });
        if let Err(error) = removed {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "partial download not removed, a later start will do it");
        }
    }

    /// Writes some of the blob. On a full disk, partial downloads that nobody holds make room, the oldest first.
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), StoreError> {
        let write = || self.disk.write_at(&self.file, bytes, position);
        // An ingest file is never at the root.
        let directory = self.path.parent().unwrap_or(&self.path);
        leftover::write_with_room(&self.disk, directory, &self.path, write)
            .map_err(|error| StoreError::io("write", &self.path, error))
    }

    fn incomplete(&self) -> Option<StoreError> {
        let present = self.state().progress.present();
        let digest = self.digest.clone();
        (present < self.size).then_some(StoreError::Incomplete { digest, present, size: self.size })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The next try would read from memory what the disk does not have.
        if self.durability.is_suspect() {
            self.throw_away("the disk may have failed to write it");
        } else if self.state().is_unwanted {
            self.throw_away("the download is finished");
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.end("the download was given up".to_owned());
    }
}

/// Says beforehand that a blob cannot fit, not even in the place of downloads that nobody holds.
fn find_room(disk: &Disk, directory: &Path, path: &Path, needed: u64) -> Result<(), StoreError> {
    match check_room(directory, path, needed) {
        Err(StoreError::TooFull { needed: wanted, available, .. })
            if leftover::make_room(
                disk,
                directory,
                &[path.to_owned()],
                wanted.without(available),
            )? > 0 =>
        {
            check_room(directory, path, needed)
        }
        checked => checked,
    }
}

/// Compares what is needed with what the file system has.
fn check_room(directory: &Path, path: &Path, needed: u64) -> Result<(), StoreError> {
    let available =
        Room::at(directory).map_err(|error| StoreError::io("look at", directory, error))?;
    if needed > available.bytes {
        let needed = Room { bytes: needed, inodes: None };
        return Err(StoreError::TooFull { path: path.to_owned(), needed, available });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
