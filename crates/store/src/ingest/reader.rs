//! Reading a download while it runs.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

use spec::Digest;

use super::{Shared, VerifiedIngest, verify};
use crate::StoreError;

/// Reads a download from its first byte on and waits for bytes that are not here yet.
///
/// The end comes after the last byte of the blob; when no more bytes can come before it, an error does.
#[derive(Debug)]
pub struct IngestReader {
    shared: Arc<Shared>,
    position: u64,
}

impl IngestReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, position: 0 }
    }

    /// Returns how many bytes were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// As [`Ingest::verify`](super::Ingest::verify), for whoever read and hashed all bytes.
    pub fn verify(&self, actual: &Digest, size: u64) -> Result<VerifiedIngest, StoreError> {
        verify(&self.shared, actual, size)
    }

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

impl Read for IngestReader {
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
