//! Reading a download while it runs.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

use super::Shared;
use crate::content::hashing::HashingReader;
use crate::{StoreError, VerifiedBlob};

/// Reads a download from its first byte on, hashes it, and waits for bytes that are not here yet.
///
/// The end comes after the last byte of the blob; when no more bytes can come before it, an error does.
#[derive(Debug)]
pub struct IngestReader(HashingReader<Follower>);

/// Follows the writers, byte by byte.
#[derive(Debug)]
struct Follower {
    shared: Arc<Shared>,
    position: u64,
}

impl IngestReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let algorithm = shared.digest.algorithm();
        Self(HashingReader::new(Follower { shared, position: 0 }, algorithm))
    }

    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.0.drain()
    }

    /// Makes a blob of what was read. Fails if that is not all.
    ///
    /// If it has another digest, the bytes are thrown away, so that the next try starts anew.
    pub fn verify(self) -> Result<VerifiedBlob, StoreError> {
        let shared = Arc::clone(&self.0.source().shared);
        let (actual, present) = self.0.finish();
        let (digest, size) = (shared.digest.clone(), shared.size);
        if present < size {
            return Err(StoreError::Incomplete { digest, present, size });
        }
        if actual != digest {
            shared.throw_away("it has the wrong digest");
            return Err(StoreError::Mismatch { expected: digest, actual });
        }
        Ok(VerifiedBlob::of_file(digest, size, shared))
    }
}

impl Read for IngestReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Follower {
    /// Waits until there is something to read and returns how much, 0 at the end.
    fn wait(&self) -> io::Result<u64> {
        let shared = &*self.shared;
        let mut state = shared.state();
        loop {
            let available = state.progress.prefix() - self.position;
            if available > 0 || self.position == shared.size {
                return Ok(available);
            }
            if let Some(reason) = &state.over {
                return Err(io::Error::other(format!(
                    "{} ended after {} of {} bytes: {reason}",
                    shared.digest, self.position, shared.size
                )));
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let available = self.wait()?;
        let length = usize::try_from(available).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let read = self.shared.file.read_at(&mut buffer[..length], self.position)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}
