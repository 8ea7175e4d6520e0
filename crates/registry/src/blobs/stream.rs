//! The body of a blob on its way: bounded, watched for stalls, counted.

use std::{
    fmt,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, Sleep};

use crate::{
    RegistryError,
    http::{
        classify::{body_words, is_unclean_end},
        metrics::Counters,
    },
    remote::Source,
};

/// A blob on its way. It ends with an error, and not just ends, where bytes are missing; it never has more bytes than
/// were asked for. Whether they are the right ones is for the reader to check.
pub struct BlobStream {
    /// True if the stream is the range, or its beginning. If not, the registry does not know ranges, and the stream is the
    /// whole blob.
    pub ranged: bool,
    /// The blob's bytes that it brings: those of the range, fewer where the registry cuts ranges, or all.
    pub part: Range<u64>,
    /// The whole blob's size, if the registry says it.
    pub size_total: Option<u64>,
    /// Its sender.
    pub source: Source,
    pub(crate) body: Body,
}

impl BlobStream {
    /// A stream that was asked for `range`. One that has more is that of all the blob, be it that both begin at the first byte.
    pub(crate) fn of(
        (part, size_total, body): (Range<u64>, Option<u64>, Body),
        range: &Range<u64>,
        source: Source,
    ) -> Self {
        let ranged = part.start == range.start && part.end <= range.end;
        Self { ranged, part, size_total, source, body }
    }
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream")
            .field("ranged", &self.ranged)
            .field("part", &self.part)
            .field("size_total", &self.size_total)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, RegistryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.poll(context)
    }
}

type Chunks = stream::BoxStream<'static, reqwest::Result<Bytes>>;

/// A body with a known length that notices when nothing comes.
pub(crate) struct Body {
    chunks: Chunks,
    url: String,
    length: u64,
    received: u64,
    stall: Duration,
    /// Runs only while bytes are waited for: a reader may take its time.
    timer: Pin<Box<Sleep>>,
    waiting: bool,
    ended: bool,
    /// Its counters, and true if the blob's last byte is in it.
    count: Option<(Arc<Counters>, bool)>,
}

impl Body {
    pub(crate) fn new(
        chunks: Chunks,
        (url, length): (String, u64),
        stall: Duration,
        count: Option<(Arc<Counters>, bool)>,
    ) -> Self {
        Self {
            chunks,
            url,
            length,
            received: 0,
            stall,
            timer: Box::pin(tokio::time::sleep(stall)),
            waiting: false,
            ended: false,
            count,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, RegistryError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = match self.chunks.poll_next_unpin(context) {
            Poll::Ready(item) => {
                self.waiting = false;
                self.judge(item)
            }
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    self.timer.as_mut().reset(Instant::now() + self.stall);
                }
                if self.timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                Some(Err(RegistryError::Stalled { url: self.url.clone(), after: self.stall }))
            }
        };
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }

    fn judge(
        &mut self,
        item: Option<reqwest::Result<Bytes>>,
    ) -> Option<Result<Bytes, RegistryError>> {
        let url = || self.url.clone();
        match item {
            Some(Ok(bytes)) => {
                self.received += bytes.len() as u64;
                if let Some((metrics, ends)) = &self.count {
                    metrics.received(bytes.len());
                    if *ends && self.received == self.length {
                        metrics.received_blob();
                    }
                }
                if self.received > self.length {
                    let limit = self.length;
                    return Some(Err(RegistryError::TooLarge { what: "blob", url: url(), limit }));
                }
                Some(Ok(bytes))
            }
            // TLS without its end: the digest tells whether that was all.
            Some(Err(error)) if self.received == self.length && is_unclean_end(&error) => None,
            Some(Err(error)) => {
                Some(Err(RegistryError::Interrupted { url: url(), reason: body_words(&error) }))
            }
            None if self.received < self.length => Some(Err(RegistryError::Truncated {
                url: url(),
                received: self.received,
                expected: self.length,
            })),
            None => None,
        }
    }
}
