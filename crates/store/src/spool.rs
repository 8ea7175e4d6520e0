//! A blob that is being made here, for a registry or for a commit.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use spec::{Algorithm, Digest, Hasher};

use crate::{Deposit, Lease, NamedDeposit, Store, StoreError, files};

/// A file that hashes what is written to it.
///
/// It lies in `staging/` under the name of its lease, so that the next start deletes it should this process die; it is
/// deleted when it is dropped.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Store {
    /// Creates an empty spool.
    pub fn spool(&self, lease: &Lease) -> Result<Spool, StoreError> {
        let path = self.paths().staging().join(format!("{}.{}", lease.id(), files::random_hex(8)?));
        let file = files::create_new(&path, 0o600)?;
        Ok(Spool { path, file, hasher: Hasher::new(Algorithm::Sha256), size: 0 })
    }
}

impl Spool {
    /// Returns where the bytes are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the digest and the size in bytes of what has been written.
    pub fn identity(&self) -> (Digest, u64) {
        (self.hasher.clone().finish(), self.size)
    }

    /// Gives the file to a commit.
    pub fn deposit(mut self) -> NamedDeposit {
        let (digest, size) = self.identity();
        Deposit::at(std::mem::take(&mut self.path), size).named(digest)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // A failure leaves a file that the next start deletes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Root;

    #[test]
    fn knows_what_was_written_and_goes_when_dropped() {
        let root = Root::packed();
        let lease = root.store.lease().unwrap();
        let mut spool = root.store.spool(&lease).unwrap();
        assert_eq!(spool.identity(), (Digest::sha256(b""), 0));
        spool.write_all(b"ab").unwrap();
        spool.write_all(b"c").unwrap();
        assert_eq!(spool.identity(), (Digest::sha256(b"abc"), 3));
        assert_eq!(fs::read(spool.path()).unwrap(), b"abc");
        root.reopen();
        let path = spool.path().to_owned();
        assert!(path.exists(), "its lease lives");
        let deposit = spool.deposit();
        assert_eq!(*deposit.digest(), Digest::sha256(b"abc"));
        assert!(path.exists());
        drop(deposit);
        assert!(!path.exists());
    }
}
