//! Compressed bytes in; uncompressed bytes out, hashed.

use std::io::{self, BufRead, Read};

use sha2::{Digest as _, Sha256};
use spec::{DiffId, Digest};

use crate::tar::Chunks;
use crate::{ArchiveError, Compression};

/// Compressed bytes that are read at once.
pub(crate) const INPUT_SIZE: usize = 256 << 10;
/// Uncompressed bytes that are handed on at once.
pub(crate) const CHUNK_SIZE: usize = 128 << 10;

/// Reads the compressed stream with a large buffer and counts what it reads.
pub(crate) struct Input<'a, R> {
    source: R,
    buffer: Vec<u8>,
    position: usize,
    filled: usize,
    size: u64,
    failed: bool,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a, R: Read> Input<'a, R> {
    pub(crate) fn new(source: R, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self {
            source,
            buffer: vec![0; INPUT_SIZE],
            position: 0,
            filled: 0,
            size: 0,
            failed: false,
            progress,
        }
    }

    /// Fills the buffer; returns whether that is the whole stream. To be called before anything is consumed.
    pub(crate) fn prefill(&mut self) -> Result<bool, ArchiveError> {
        while self.filled < self.buffer.len() {
            let read = self.read().map_err(ArchiveError::Read)?;
            if read == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The bytes that were read and not yet consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer[self.position..self.filled]
    }

    /// Tells an error of the source from one of the decoder that read it.
    pub(crate) fn classify(&self, error: ArchiveError) -> ArchiveError {
        match error {
            ArchiveError::Decompress { source, .. } if self.failed => ArchiveError::Read(source),
            other => other,
        }
    }

    /// The number of bytes that were read.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self) -> io::Result<usize> {
        loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(read) => {
                    self.filled += read;
                    self.size += read as u64;
                    if read > 0 {
                        (self.progress)(self.size);
                    }
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
    }
}

impl<R: Read> Read for Input<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(target.len());
        target[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Input<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.filled {
            (self.position, self.filled) = (0, 0);
            Self::read(self)?;
        }
        Ok(&self.buffer[self.position..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.position = (self.position + count).min(self.filled);
    }
}

/// Hashes and counts the uncompressed tar, and stops it at its bound.
#[derive(Debug)]
pub(crate) struct Tally {
    hasher: Sha256,
    size: u64,
    limit: u64,
}

impl Tally {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { hasher: Sha256::new(), size: 0, limit: limit.unwrap_or(u64::MAX) }
    }

    /// Adds the next bytes; fails if there are more than the bound.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(ArchiveError::TarTooLarge { limit: self.limit });
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// The diff ID and the number of bytes.
    pub(crate) fn finish(self) -> (DiffId, u64) {
        let digest = Digest::from_sha256(self.hasher.finalize().into());
        (DiffId::new(digest), self.size)
    }
}

/// Uncompressed bytes in pieces of up to [`CHUNK_SIZE`].
pub(crate) struct Decoded<'a> {
    decoder: Box<dyn Read + Send + 'a>,
    compression: Compression,
}

impl<'a> Decoded<'a> {
    pub(crate) fn new(decoder: Box<dyn Read + Send + 'a>, compression: Compression) -> Self {
        Self { decoder, compression }
    }

    /// Fills `buffer` as far as the stream goes; returns how far.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.decoder.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let compression = self.compression;
                    return Err(ArchiveError::Decompress { compression, source });
                }
            }
        }
        Ok(filled)
    }
}

/// [`Chunks`] that are decompressed where they are wanted, on the same thread, and tallied.
pub(crate) struct Inline<'a> {
    decoded: Decoded<'a>,
    pub(crate) tally: Tally,
    buffer: Vec<u8>,
    position: usize,
    filled: usize,
}

impl<'a> Inline<'a> {
    pub(crate) fn new(decoded: Decoded<'a>, tally: Tally) -> Self {
        Self { decoded, tally, buffer: vec![0; CHUNK_SIZE], position: 0, filled: 0 }
    }
}

impl Chunks for &mut Inline<'_> {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        if self.position == self.filled {
            self.position = 0;
            self.filled = 0;
            let filled = self.decoded.fill(&mut self.buffer)?;
            self.tally.add(&self.buffer[..filled])?;
            self.filled = filled;
        }
        Ok(&self.buffer[self.position..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}
