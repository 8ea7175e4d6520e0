//! A file of an archive whose bytes are at hand: in memory, where it lies in the archive, or aside on the disk.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use archive::ArchiveError;
use bytes::Bytes;
use spec::{Algorithm, Digest};
use store::{BlobWriter, HashingReader, Lease, StagedFile, StagedFileReader, Store, VerifiedBlob};

use crate::error::BadArchive;
use crate::{EngineError, Result, space};

/// A file of an archive whose bytes are at hand.
#[derive(Clone, Debug)]
pub(super) enum PlainFile {
    Memory(Bytes),
    Place(Place),
    Disk(StagedFile),
}

/// A part of an archive that is a file. It is somebody else's, who may change it at any time: what counts is what was read and hashed.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: Arc<File>,
    pub(super) start: u64,
    pub(super) size: u64,
}

/// Reads a part of a file.
#[derive(Debug)]
pub(super) struct PlaceReader {
    place: Place,
    position: u64,
}

/// A file of an archive that is being read.
#[derive(Debug)]
pub(super) enum StoredReader {
    Memory(Cursor<Bytes>, Algorithm),
    Plain(File),
    Hashed(StagedFileReader),
    InPlace(PlaceReader),
    HashedInPlace(HashingReader<PlaceReader>),
    /// Read where it lies, and written to where a blob of the store's own is made.
    Copied(PlaceReader, BlobWriter),
}

/// The outcome of reading a file to its end.
#[derive(Debug, Default)]
pub(super) struct WasRead {
    /// Its digest, if it was hashed.
    pub(super) digest: Option<Digest>,
    /// A blob that a commit may take, if it is to be kept.
    pub(super) blob: Option<VerifiedBlob>,
}

/// Returns the error of an archive that is read and written at once: that of a full disk in its own words.
pub(super) fn not_taken_in(store: &Store, error: ArchiveError) -> EngineError {
    shortage(store, &error).unwrap_or(EngineError::ArchiveRead(error))
}

/// Returns the error of an archive for which the disk has no room, if that is behind `error`.
pub(super) fn shortage(store: &Store, error: &ArchiveError) -> Option<EngineError> {
    space::no_space(|| "failed to store the archive".to_owned(), store.root(), error)
}

impl PlainFile {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Place(place) => place.size,
            Self::Disk(file) => file.size(),
        }
    }

    /// Returns the bytes that keeping it takes on the disk, beyond those that it has taken there.
    pub(super) fn bytes_to_copy(&self) -> u64 {
        match self {
            Self::Place(place) => place.size,
            Self::Memory(_) | Self::Disk(_) => 0,
        }
    }

    /// Opens the file, to hash it by an algorithm or not.
    pub(super) fn reader(&self, algorithm: Option<Algorithm>) -> Result<StoredReader> {
        Ok(match (self, algorithm) {
            (Self::Memory(bytes), algorithm) => StoredReader::Memory(
                Cursor::new(bytes.clone()),
                algorithm.unwrap_or(Algorithm::Sha256),
            ),
            (Self::Place(place), Some(algorithm)) => {
                StoredReader::HashedInPlace(HashingReader::new(place.reader(), algorithm))
            }
            (Self::Place(place), None) => StoredReader::InPlace(place.reader()),
            (Self::Disk(file), Some(algorithm)) => StoredReader::Hashed(file.reader(algorithm)?),
            (Self::Disk(file), None) => StoredReader::Plain(file.open()?),
        })
    }

    /// Opens the file, of which reading it to its end makes a blob.
    pub(super) fn blob_reader(
        &self,
        store: &Store,
        lease: &Lease,
        algorithm: Algorithm,
    ) -> Result<StoredReader> {
        match self {
            Self::Place(place) => {
                let writer = store.blob_writer(lease, algorithm)?;
                Ok(StoredReader::Copied(place.reader(), writer))
            }
            Self::Memory(_) | Self::Disk(_) => self.reader(Some(algorithm)),
        }
    }

    /// Reads a file of at most `max` bytes.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Bytes> {
        if self.size() > max {
            let (name, size) = (name.to_owned(), self.size());
            return Err(EngineError::BadArchive(BadArchive::FileTooLarge { name, size, max }));
        }
        let mut bytes = Vec::new();
        let read = match self {
            Self::Memory(bytes) => return Ok(bytes.clone()),
            Self::Place(place) => place.reader().read_to_end(&mut bytes),
            Self::Disk(file) => file.open()?.take(max).read_to_end(&mut bytes),
        };
        read.map_err(|error| EngineError::ArchiveRead(ArchiveError::Read(error)))?;
        Ok(bytes.into())
    }
}

impl Place {
    pub(super) fn reader(&self) -> PlaceReader {
        PlaceReader { place: self.clone(), position: 0 }
    }
}

impl Read for PlaceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Place { file, start, size } = &self.place;
        let left = usize::try_from(size - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        if length == 0 {
            return Ok(0);
        }
        match file.read_at(&mut buffer[..length], start + self.position)? {
            // It was there when the archive was looked through.
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "unexpected EOF")),
            read => {
                self.position += read as u64;
                Ok(read)
            }
        }
    }
}

impl StoredReader {
    /// Ends the reading of what was read to its end.
    pub(super) fn finish(self) -> Result<WasRead> {
        let blob = match self {
            Self::Plain(_) | Self::InPlace(_) => return Ok(WasRead::default()),
            Self::HashedInPlace(reader) => {
                return Ok(WasRead { digest: Some(reader.finish().0), blob: None });
            }
            Self::Memory(bytes, algorithm) => VerifiedBlob::hash(bytes.into_inner(), algorithm),
            Self::Hashed(reader) => reader.verify()?,
            Self::Copied(_, writer) => writer.finish(),
        };
        Ok(WasRead { digest: Some(blob.digest().clone()), blob: Some(blob) })
    }
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes, _) => bytes.read(buffer),
            Self::Plain(file) => file.read(buffer),
            Self::Hashed(reader) => reader.read(buffer),
            Self::InPlace(reader) => reader.read(buffer),
            Self::HashedInPlace(reader) => reader.read(buffer),
            Self::Copied(reader, writer) => {
                let read = reader.read(buffer)?;
                writer.write_all(&buffer[..read])?;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(content: &[u8]) -> Place {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Place { file: Arc::new(file), start: 2, size: 3 }
    }

    #[test]
    fn a_place_is_read_from_its_beginning_to_its_end() {
        let file = PlainFile::Place(place(b"..abc..."));
        assert_eq!(file.read("x", 3).unwrap(), "abc");
        let refused = file.read("x", 2).unwrap_err();
        assert!(matches!(refused, EngineError::BadArchive(BadArchive::FileTooLarge { .. })));
        let mut reader = file.reader(Some(Algorithm::Sha256)).unwrap();
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), 3);
        let read = reader.finish().unwrap();
        assert_eq!((read.digest, read.blob.is_none()), (Some(Digest::sha256(b"abc")), true));
    }

    #[test]
    fn a_file_that_becomes_shorter_is_no_shorter_content() {
        let place = place(b"..abc...");
        let mut reader = place.reader();
        reader.read_exact(&mut [0; 1]).unwrap();
        place.file.set_len(4).unwrap();
        reader.read_exact(&mut [0; 1]).unwrap();
        let error = reader.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
