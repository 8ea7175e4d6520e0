//! A blob that is being made here, for a registry or for a commit.

use std::io::{self, Write};
use std::path::Path;

use spec::{Algorithm, Digest, Hasher};

use crate::{Depositing, Lease, NamedDeposit, Store, StoreError};

/// A deposit that hashes what is written to it. It is deleted when it is dropped.
#[derive(Debug)]
pub struct Spool {
    file: Depositing,
    hasher: Hasher,
}

impl Store {
    /// Creates an empty spool.
    pub fn spool(&self, lease: &Lease) -> Result<Spool, StoreError> {
        Ok(Spool { file: self.deposit(lease)?, hasher: Hasher::new(Algorithm::Sha256) })
    }
}

impl Spool {
    /// Returns where the bytes are.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the digest and the size in bytes of what has been written.
    pub fn identity(&self) -> (Digest, u64) {
        (self.hasher.clone().finish(), self.file.size())
    }

    /// Gives the file to a commit.
    pub fn deposit(self) -> NamedDeposit {
        self.file.finish().named(self.hasher.finish())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
