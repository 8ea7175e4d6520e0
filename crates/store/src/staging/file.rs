//! A file that came in an archive, and that may be a blob once somebody has read it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spec::{Algorithm, Digest};

use crate::content::blob::BlobFile;
use crate::content::hashing::HashingReader;
use crate::disk::{Disk, Durability};
use crate::ingest::leftover::write_with_room;
use crate::{Lease, Store, StoreError, VerifiedBlob};

/// A file that is being written, once, from its beginning to its end.
///
/// On a full disk, partial downloads that nobody holds make room for it.
#[derive(Debug)]
pub struct StagedFileWriter {
    disk: Disk,
    /// Empty when the writing has ended.
    path: PathBuf,
    file: File,
    size: u64,
    /// The directory of partial downloads.
    ingest: PathBuf,
    durability: Arc<Durability>,
}

/// A file that is written. Clones are the same file; it is deleted when the last is dropped, unless it was published.
#[derive(Clone, Debug)]
pub struct StagedFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Disk,
    path: PathBuf,
    size: u64,
    durability: Arc<Durability>,
}

/// Reads a staged file and hashes it.
#[derive(Debug)]
pub struct StagedFileReader {
    file: StagedFile,
    reader: HashingReader<File>,
}

impl Store {
    /// Creates an empty file.
    pub fn staged_file(&self, lease: &Lease) -> Result<StagedFileWriter, StoreError> {
        let path = lease.staging_path()?;
        let disk = self.disk().clone();
        let file = disk.create_new(&path, 0o600)?;
        let durability = Arc::clone(lease.durability());
        Ok(StagedFileWriter {
            disk,
            path,
            file,
            size: 0,
            ingest: self.paths().ingest(),
            durability,
        })
    }
}

impl StagedFileWriter {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Ends the writing.
    pub fn finish(mut self) -> StagedFile {
        let path = std::mem::take(&mut self.path);
        let (disk, durability) = (self.disk.clone(), Arc::clone(&self.durability));
        StagedFile(Arc::new(Inner { disk, path, size: self.size, durability }))
    }
}

impl Write for StagedFileWriter {
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

impl Drop for StagedFileWriter {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // A failure leaves a file that the next start deletes.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

impl StagedFile {
    /// Writes a file at once, at a path in `staging/`.
    pub(crate) fn write(
        disk: &Disk,
        path: PathBuf,
        bytes: &[u8],
        lease: &Lease,
    ) -> Result<Self, StoreError> {
        disk.write_new(&path, bytes, 0o600)?;
        let (size, durability) = (bytes.len() as u64, Arc::clone(lease.durability()));
        Ok(Self(Arc::new(Inner { disk: disk.clone(), path, size, durability })))
    }

    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Opens the file for reading. Once it is published, only those that were opened before read on.
    pub fn open(&self) -> Result<File, StoreError> {
        File::open(&self.0.path).map_err(|error| StoreError::io("open", &self.0.path, error))
    }

    /// As [`StagedFile::open`], for a file that is to be a blob.
    pub fn reader(&self, algorithm: Algorithm) -> Result<StagedFileReader, StoreError> {
        let reader = HashingReader::new(self.open()?, algorithm);
        Ok(StagedFileReader { file: self.clone(), reader })
    }

    pub(crate) fn into_blob_file(self) -> Arc<dyn BlobFile> {
        self.0
    }

    /// For who has hashed all bytes.
    pub(super) fn verified(self, digest: Digest) -> VerifiedBlob {
        VerifiedBlob::of_file(digest, self.size(), self.0)
    }
}

impl StagedFileReader {
    /// Makes a blob of what was read. Fails if that is not all.
    pub fn verify(self) -> Result<VerifiedBlob, StoreError> {
        let (digest, present) = self.reader.finish();
        let size = self.file.size();
        if present < size {
            return Err(StoreError::Incomplete { digest, present, size });
        }
        Ok(self.file.verified(digest))
    }
}

impl Read for StagedFileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BlobFile for Inner {
    fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    fn publish(&self, target: &Path) -> Result<(), StoreError> {
        self.disk.rename(&self.path, target)
    }

    fn discard(&self) {
        // It goes when it is dropped: others may still read it.
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
    use super::*;
    use crate::tests::Root;

    #[test]
    fn is_there_as_long_as_somebody_has_it() {
        let root = Root::packed();
        let lease = root.store.lease().unwrap();
        let mut writing = root.store.staged_file(&lease).unwrap();
        let path = writing.path.clone();
        writing.write_all(b"abc").unwrap();
        let file = writing.finish();
        assert_eq!(file.size(), 3);
        root.reopen();
        let mut reader = file.reader(Algorithm::Sha256).unwrap();
        drop(file);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        let blob = reader.verify().unwrap();
        assert_eq!((blob.digest(), blob.size()), (&Digest::sha256(b"abc"), 3));
        assert!(path.exists());
        drop(blob);
        assert!(!path.exists());

        let given_up = root.store.staged_file(&lease).unwrap();
        let path = given_up.path.clone();
        assert!(path.exists());
        drop(given_up);
        assert!(!path.exists());
    }

    #[test]
    fn a_part_is_no_blob() {
        let root = Root::packed();
        let lease = root.store.lease().unwrap();
        let mut writing = root.store.staged_file(&lease).unwrap();
        writing.write_all(b"abc").unwrap();
        let mut reader = writing.finish().reader(Algorithm::Sha256).unwrap();
        reader.read_exact(&mut [0; 2]).unwrap();
        let error = reader.verify().unwrap_err();
        assert!(matches!(error, StoreError::Incomplete { present: 2, size: 3, .. }), "{error}");
    }
}
