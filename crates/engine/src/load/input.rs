//! From a stream of the network to a reader on a blocking thread.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Chunks between the two.
const WAITING: usize = 8;
/// The most that may follow the end of an archive: tars are padded, mostly to 10 KiB.
const MAX_TRAILER: u64 = 64 << 20;

/// `None` is the end; a channel that closes without it was given up.
type Chunk = Option<io::Result<Bytes>>;

/// Reads what [`pump`] sends.
#[derive(Debug)]
pub(super) struct Input {
    chunks: Receiver<Chunk>,
    current: Bytes,
    ended: bool,
}

/// Makes the two ends.
pub(super) fn pipe() -> (Sender<Chunk>, Input) {
    let (sender, chunks) = channel(WAITING);
    (sender, Input { chunks, current: Bytes::new(), ended: false })
}

/// Sends all of `body`. What the reader has no use for is passed over.
pub(super) async fn pump(
    body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    sender: Sender<Chunk>,
) {
    while let Some(chunk) = body.next().await {
        let is_error = chunk.is_err();
        if sender.send(Some(chunk)).await.is_err() {
            let mut left = MAX_TRAILER;
            while let Some(Ok(chunk)) = body.next().await {
                left = left.saturating_sub(chunk.len() as u64);
                if left == 0 {
                    break;
                }
            }
            return;
        }
        if is_error {
            return;
        }
    }
    // The reader may have seen the end of the archive already.
    let _ = sender.send(None).await;
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.current = chunk?,
                Some(None) => self.ended = true,
                None => return Err(io::Error::other("cancelled")),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}
