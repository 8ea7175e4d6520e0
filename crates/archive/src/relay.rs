//! Bytes from a thread that decompresses to one that reads the tar, by way of others that look at them.
//!
//! [`BUFFERS`] buffers go round and round between them, so memory stays flat and the faster ones wait. A buffer is handed on, never
//! copied.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::ArchiveError;
use crate::source::CHUNK_SIZE;
use crate::tar::Chunks;

/// Buffers between the threads, of [`CHUNK_SIZE`] each: enough that who is slow with small files and who is slow with large ones
/// seldom wait for each other, and little enough for as many layers as are unpacked at once.
const BUFFERS: usize = 16;

/// A filled buffer with its length, or why there is none.
type Filled = Result<(Vec<u8>, usize), ArchiveError>;

/// Makes the two ends.
pub(crate) fn relay() -> (Sending, Received) {
    let (full, chunks) = sync_channel(BUFFERS);
    let (returned, empty) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = returned.send(vec![0; CHUNK_SIZE]);
    }
    (Sending { full, empty }, Received { chunks, returned, current: None, position: 0 })
}

/// The end of the thread that fills the buffers.
pub(crate) struct Sending {
    full: SyncSender<Filled>,
    empty: Receiver<Vec<u8>>,
}

impl Sending {
    /// Sends what `fill` puts into the buffers until it puts nothing, fails, or nobody reads any more.
    pub(crate) fn run(self, mut fill: impl FnMut(&mut [u8]) -> Result<usize, ArchiveError>) {
        while let Ok(mut buffer) = self.empty.recv() {
            let filled = fill(&mut buffer).map(|length| (buffer, length));
            let is_last = !matches!(filled, Ok((_, 1..)));
            if self.full.send(filled).is_err() || is_last {
                return;
            }
        }
    }
}

/// A stage between the two ends.
pub(crate) struct Passing {
    chunks: Receiver<Filled>,
    full: SyncSender<Filled>,
}

impl Passing {
    /// Shows `look` all bytes on their way, until they end, it fails, or nobody reads any more.
    pub(crate) fn run(self, mut look: impl FnMut(&[u8]) -> Result<(), ArchiveError>) {
        while let Ok(filled) = self.chunks.recv() {
            let seen = filled.and_then(|(buffer, length)| {
                look(&buffer[..length])?;
                Ok((buffer, length))
            });
            let is_last = !matches!(seen, Ok((_, 1..)));
            if self.full.send(seen).is_err() || is_last {
                return;
            }
        }
    }
}

impl Received {
    /// Puts a stage before this end.
    pub(crate) fn after_stage(self) -> (Passing, Received) {
        let (full, chunks) = sync_channel(BUFFERS);
        let passing = Passing { chunks: self.chunks, full };
        (passing, Received { chunks, ..self })
    }
}

/// [`Chunks`] from the other thread.
pub(crate) struct Received {
    chunks: Receiver<Filled>,
    returned: SyncSender<Vec<u8>>,
    /// Before the first of them there is none: an empty buffer that went back would look like the end.
    current: Option<(Vec<u8>, usize)>,
    position: usize,
}

impl Chunks for Received {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        let is_used_up = self.current.as_ref().is_none_or(|(_, length)| self.position == *length);
        let at_end = matches!(self.current, Some((_, 0)));
        if is_used_up && !at_end {
            if let Some((buffer, _)) = self.current.take() {
                // Fails only when the other end is done and wants no more.
                let _ = self.returned.send(buffer);
            }
            self.position = 0;
            // The other end always says how it ends; without that, the stream stays empty.
            self.current = Some(self.chunks.recv().unwrap_or_else(|_| Ok((Vec::new(), 0)))?);
        }
        Ok(match &self.current {
            Some((buffer, length)) => &buffer[self.position..*length],
            None => &[],
        })
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}
