//! A blob that is made here, or copied, for a registry or for a commit.

use std::io::{self, Write};
use std::path::Path;

use spec::{Algorithm, Digest, Hasher};

use super::file::StagedFileWriter;
use crate::{Lease, Store, StoreError, VerifiedBlob};

/// A file that hashes what is written to it. It is deleted when it is dropped.
#[derive(Debug)]
pub struct BlobWriter {
    file: StagedFileWriter,
    hasher: Hasher,
}

impl Store {
    /// Creates an empty file for a blob.
    pub fn blob_writer(
        &self,
        lease: &Lease,
        algorithm: Algorithm,
    ) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter { file: self.staged_file(lease)?, hasher: Hasher::new(algorithm) })
    }
}

impl BlobWriter {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the digest and the size in bytes of what has been written.
    pub fn identity(&self) -> (Digest, u64) {
        (self.hasher.clone().finish(), self.file.size())
    }

    /// Ends the writing.
    pub fn finish(self) -> VerifiedBlob {
        let (digest, file) = (self.hasher.finish(), self.file.finish());
        file.verified(digest)
    }
}

impl Write for BlobWriter {
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
        let mut writer = root.store.blob_writer(&lease, Algorithm::Sha256).unwrap();
        assert_eq!(writer.identity(), (Digest::sha256(b""), 0));
        writer.write_all(b"ab").unwrap();
        writer.write_all(b"c").unwrap();
        assert_eq!(writer.identity(), (Digest::sha256(b"abc"), 3));
        assert_eq!(fs::read(writer.path()).unwrap(), b"abc");
        root.reopen();
        let path = writer.path().to_owned();
        assert!(path.exists(), "its lease lives");
        let blob = writer.finish();
        assert_eq!((blob.digest(), blob.size()), (&Digest::sha256(b"abc"), 3));
        assert!(path.exists());
        drop(blob);
        assert!(!path.exists());
    }
}
