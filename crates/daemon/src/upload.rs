//! The body of a request, read by a thread that may block.

use std::io::{self, Read};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::connection::discard;

/// Pieces that wait to be read; each is at most what the connection's buffer holds.
const WAITING: usize = 4;

/// A body as a [`Read`], which blocks until the client has sent more.
///
/// A body that breaks off is an error. What is not read when this is dropped is read and thrown away, as far as that is
/// cheap, so that a client that is still sending sees the answer.
#[derive(Debug)]
pub(crate) struct Upload {
    pieces: Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Upload {
    /// Begins to read a body.
    pub(crate) fn start(headers: &HeaderMap, body: Incoming) -> Self {
        let (sender, pieces) = channel(WAITING);
        tokio::spawn(pump(headers.clone(), body, sender));
        Self { pieces, current: Bytes::new() }
    }
}

async fn pump(headers: HeaderMap, mut body: Incoming, sender: Sender<io::Result<Bytes>>) {
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = sender.closed() => break,
        };
        let piece = match frame {
            None => return,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Some(Err(error)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
        };
        let failed = piece.is_err();
        if sender.send(piece).await.is_err() {
            break;
        }
        if failed {
            return;
        }
    }
    discard(&headers, &mut body).await;
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.current = piece?,
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}
