//! Hashing on the way.

use std::io::{self, Read};

use spec::{Algorithm, Digest, Hasher};

/// Bytes that are read at once where nobody but the hash wants them.
const BUFFER: usize = 256 << 10;

/// A source that hashes and counts all that is read from it.
#[derive(Debug)]
pub struct HashingReader<R> {
    source: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> HashingReader<R> {
    /// Begins with the next byte of `source`.
    pub fn new(source: R, algorithm: Algorithm) -> Self {
        Self { source, hasher: Hasher::new(algorithm), size: 0 }
    }

    /// Returns the digest and the number of the bytes that were read.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }

    /// Reads all that is left, for its hash.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn source(&self) -> &R {
        &self.source
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
