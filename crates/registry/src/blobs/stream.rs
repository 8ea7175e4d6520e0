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
    hosts::crowds::Turn,
    http::{
        classify::{body_words, is_unclean_end},
        metrics::Counters,
        transport::LEAST,
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

/// A body with a known length that notices when nothing comes, or next to nothing.
pub(crate) struct Body {
    chunks: Chunks,
    url: String,
    length: u64,
    received: u64,
    stall: Duration,
    /// The rest of the stall timeout, until the least has come. It runs only while bytes are waited for: a reader may take
    /// its time.
    patience: Duration,
    /// Bytes that came since it was whole.
    fresh: usize,
    timer: Pin<Box<Sleep>>,
    waiting: Option<Instant>,
    ended: bool,
    /// Its counters, and true if the blob's last byte is in it.
    count: Option<(Arc<Counters>, bool)>,
    /// Given up at its end.
    turn: Option<Turn>,
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
            patience: stall,
            fresh: 0,
            timer: Box::pin(tokio::time::sleep(stall)),
            waiting: None,
            ended: false,
            count,
            turn: None,
        }
    }

    /// Keeps a turn at the body's host until the body ends or is dropped.
    pub(crate) fn hold(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, RegistryError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = match self.chunks.poll_next_unpin(context) {
            Poll::Ready(item) => {
                if let Some(since) = self.waiting.take() {
                    self.patience = self.patience.saturating_sub(since.elapsed());
                }
                self.judge(item)
            }
            Poll::Pending => {
                if self.waiting.is_none() {
                    let now = Instant::now();
                    self.waiting = Some(now);
                    self.timer.as_mut().reset(now + self.patience);
                }
                if self.timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                Some(Err(RegistryError::Stalled { url: self.url.clone(), after: self.stall }))
            }
        };
        self.ended = !matches!(item, Some(Ok(_)));
        if self.ended {
            self.turn = None;
        }
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
                self.fresh += bytes.len();
                if self.fresh >= LEAST {
                    (self.fresh, self.patience) = (0, self.stall);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    /// Reads a body of which a piece comes every so often. Returns what came, how long that took, and whether it stalled.
    async fn read(every: Duration, piece: usize) -> (u64, Duration, bool) {
        let chunks = stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(every).await;
            Ok(Bytes::from(vec![0; piece]))
        });
        let mut body = Body::new(chunks.boxed(), (String::new(), 10 << 10), STALL, None);
        let begun = Instant::now();
        loop {
            let item = std::future::poll_fn(|context| body.poll(context)).await;
            match item {
                Some(Ok(_)) if body.received < body.length => {}
                item => {
                    let stalled = matches!(item, Some(Err(RegistryError::Stalled { .. })));
                    return (body.received, begun.elapsed(), stalled);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn next_to_nothing_is_a_stall_and_slowness_is_none() {
        let seconds = Duration::from_secs;
        assert_eq!(read(seconds(31), 1 << 10).await, (0, STALL, true));
        assert_eq!(read(seconds(7), 1).await, (4, STALL, true));
        assert_eq!(read(seconds(29), 1 << 10).await, (10 << 10, seconds(290), false));
        assert_eq!(read(seconds(9), 512).await, (10 << 10, seconds(180), false));
    }
}
