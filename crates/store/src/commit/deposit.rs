//! A blob that came in an archive: what it hashes to is known only when somebody has read it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spec::Digest;

use crate::disk::{Disk, Durability};
use crate::ingest::leftover::write_with_room;
use crate::{Lease, Store, StoreError, files};

/// A file that is being written, once, from its beginning to its end.
///
/// It lies in `staging/` under the name of its lease, so that the next start deletes it should this process die. On a full
/// disk, partial downloads that nobody holds make room for it.
#[derive(Debug)]
pub struct Depositing {
    disk: Disk,
    path: PathBuf,
    file: File,
    size: u64,
    /// Where partial downloads are.
    ingest: PathBuf,
    durability: Arc<Durability>,
}

/// A file that is written. Clones are the same file; it is deleted when the last is dropped, unless it was published.
#[derive(Clone, Debug)]
pub struct Deposit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Disk,
    path: PathBuf,
    size: u64,
    durability: Arc<Durability>,
}

/// A deposit of which somebody has read all bytes and knows the digest, ready for [`Store::commit`].
#[derive(Clone, Debug)]
pub struct NamedDeposit {
    deposit: Deposit,
    digest: Digest,
}

impl Store {
    /// Creates an empty file for a deposit.
    pub fn deposit(&self, lease: &Lease) -> Result<Depositing, StoreError> {
        let path = self.paths().staging().join(format!("{}.{}", lease.id(), files::random_hex(8)?));
        let disk = self.disk().clone();
        let file = disk.create_new(&path, 0o600)?;
        let durability = Arc::clone(lease.durability());
        Ok(Depositing { disk, path, file, size: 0, ingest: self.paths().ingest(), durability })
    }
}

impl Depositing {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Ends the writing.
    pub fn finish(mut self) -> Deposit {
        let path = std::mem::take(&mut self.path);
        let durability = Arc::clone(&self.durability);
        let disk = self.disk.clone();
        Deposit(Arc::new(Inner { disk, path, size: self.size, durability }))
    }
}

impl Write for Depositing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || self.disk.write(&self.file, bytes);
        let written = write_with_room(&self.disk, &self.ingest, &self.path, write)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Depositing {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // A failure leaves a file that the next start deletes.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

impl Deposit {
    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Opens the file for reading. Once it is published, only those that were opened before read on.
    pub fn open(&self) -> Result<File, StoreError> {
        File::open(&self.0.path).map_err(|error| StoreError::io("open", &self.0.path, error))
    }

    /// Gives the file the digest that somebody computed while reading all of it.
    pub fn named(&self, digest: Digest) -> NamedDeposit {
        NamedDeposit { deposit: self.clone(), digest }
    }
}

impl NamedDeposit {
    /// Returns the digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns what is told of failed writes since before the file was written.
    pub(crate) fn durability(&self) -> &Arc<Durability> {
        &self.deposit.0.durability
    }

    /// Moves the file to where blobs are; its content is synced.
    pub(crate) fn publish(&self, target: &Path) -> Result<(), StoreError> {
        self.deposit.0.disk.rename(&self.deposit.0.path, target)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // It is gone if it was published; a failure leaves a file that the next start deletes.
        let _ = self.disk.remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::tests::Root;

    #[test]
    fn is_there_as_long_as_somebody_has_it() {
        let root = Root::packed();
        let lease = root.store.lease().unwrap();
        let mut writing = root.store.deposit(&lease).unwrap();
        let path = writing.path.clone();
        writing.write_all(b"abc").unwrap();
        let deposit = writing.finish();
        let named = deposit.named(Digest::sha256(b"abc"));
        assert_eq!(deposit.size(), 3);
        root.reopen();
        drop(deposit);
        let mut text = String::new();
        named.deposit.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        drop(named);
        assert!(!path.exists());

        let given_up = root.store.deposit(&lease).unwrap();
        let path = given_up.path.clone();
        assert!(path.exists());
        drop(given_up);
        assert!(!path.exists());
    }
}
