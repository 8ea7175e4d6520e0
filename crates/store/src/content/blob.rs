//! Blobs: those that are here, and those whose bytes were hashed and that a commit may take.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use spec::{Algorithm, Digest, Hasher};

use crate::StoreError;
use crate::disk::Durability;

/// A blob that is here and was verified when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// A blob that may be published: all of its bytes were hashed in this process. Clones are the same blob.
#[derive(Clone, Debug)]
pub struct VerifiedBlob {
    digest: Digest,
    size: u64,
    pub(crate) source: BlobSource,
}

/// The place of the bytes of a [`VerifiedBlob`].
#[derive(Clone, Debug)]
pub(crate) enum BlobSource {
    File(Arc<dyn BlobFile>),
    Bytes(Bytes),
}

/// A file that can become a blob: a download, or one that was written aside.
pub(crate) trait BlobFile: fmt::Debug + Send + Sync {
    /// Returns what is told of failed writes since before the file was written.
    fn durability(&self) -> &Arc<Durability>;

    /// Moves the file to where blobs are; its content is synced.
    fn publish(&self, target: &Path) -> Result<(), StoreError>;

    /// Throws the file away: its content is in the store already, or in another form.
    fn discard(&self);
}

impl VerifiedBlob {
    /// Hashes a blob that fits into memory.
    pub fn of_bytes(bytes: Bytes) -> Self {
        Self::hash(bytes, Algorithm::Sha256)
    }

    /// Hashes a blob that fits into memory; fails unless it is `expected`.
    pub fn check(expected: &Digest, bytes: Bytes) -> Result<Self, StoreError> {
        let blob = Self::hash(bytes, expected.algorithm());
        if blob.digest == *expected {
            return Ok(blob);
        }
        Err(StoreError::Mismatch { expected: expected.clone(), actual: blob.digest })
    }

    /// For the two who have hashed the whole file: the reader of a download, and the writer of a file aside.
    pub(crate) fn of_file(digest: Digest, size: u64, file: Arc<dyn BlobFile>) -> Self {
        Self { digest, size, source: BlobSource::File(file) }
    }

    /// As [`VerifiedBlob::of_bytes`], by an algorithm of the caller's.
    pub fn hash(bytes: Bytes, algorithm: Algorithm) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&bytes);
        let (digest, size) = (hasher.finish(), bytes.len() as u64);
        Self { digest, size, source: BlobSource::Bytes(bytes) }
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_what_they_hash_to() {
        let bytes = || Bytes::from_static(b"abc");
        let blob = VerifiedBlob::of_bytes(bytes());
        assert_eq!((blob.digest(), blob.size()), (&Digest::sha256(b"abc"), 3));
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        for expected in [Digest::sha256(b"abc"), hasher.finish()] {
            assert_eq!(*VerifiedBlob::check(&expected, bytes()).unwrap().digest(), expected);
        }
        let error = VerifiedBlob::check(&Digest::sha256(b"x"), bytes()).unwrap_err();
        assert!(matches!(&error, StoreError::Mismatch { actual, .. } if actual == blob.digest()));
    }
}
