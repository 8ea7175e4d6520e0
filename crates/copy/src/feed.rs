//! The bytes of one blob on their way, checked while they pass.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use registry::Attempts;
use spec::{Descriptor, Hasher};
use tokio::sync::Mutex;

use crate::error::Result;
use crate::pieces::Pieces;
use crate::progress::Event;
use crate::source::Source;
use crate::{CopyError, Report};

/// Failures of a source in a row before it is given up: as many as dockerd allows a download.
const ATTEMPTS: u32 = 5;
/// The distance of the places that a feed can go back to without reading all anew, and the most of them: a target that breaks
/// off is sent a little less than this again, and a hostile size costs no memory.
const STEP: u64 = 1 << 20;
const MOST_STEPS: u64 = 4096;

/// A blob that is read, hashed and handed on, piece by piece.
///
/// The last piece is handed on when the digest of all is known to be right, so that whoever gets it has a blob that is good.
pub(crate) struct Feed {
    source: Source,
    blob: Descriptor,
    report: Arc<Report>,
    /// All before this place was hashed.
    hashed: u64,
    hasher: Hasher,
    /// All before this place was handed on, or is not wanted.
    position: u64,
    /// Bytes that were hashed and not handed on.
    rest: Bytes,
    pieces: Option<Pieces>,
    /// The value of `hashed` when the pieces were opened.
    opened: u64,
    /// Earlier places, and the hasher as it was there.
    trail: Vec<(u64, Hasher)>,
    attempts: Attempts,
}

impl Feed {
    /// Makes a feed from the blob's first byte; nothing is asked yet.
    pub(crate) fn new(source: &Source, blob: &Descriptor, report: &Arc<Report>) -> Self {
        let hasher = blob.digest.hasher();
        Self {
            source: source.clone(),
            blob: blob.clone(),
            report: Arc::clone(report),
            hashed: 0,
            hasher: hasher.clone(),
            position: 0,
            rest: Bytes::new(),
            pieces: None,
            opened: 0,
            trail: vec![(0, hasher)],
            attempts: Attempts::new(ATTEMPTS),
        }
    }

    /// Begins behind what is known of the blob: its first bytes, and their hash.
    pub(crate) fn after(mut self, have: u64, hasher: Hasher) -> Self {
        (self.hashed, self.position) = (have, have);
        self.trail = vec![(have, hasher.clone())];
        self.hasher = hasher;
        self
    }

    /// Insists on the digest, once all is handed on: a blob without bytes, or one that was known whole, has no last piece.
    pub(crate) fn finish(&self) -> Result<()> {
        self.check()
    }

    /// Goes on from another place: what lies between is hashed and not handed on.
    pub(crate) fn seek(&mut self, position: u64) {
        if position < self.position {
            self.trail.retain(|(place, _)| *place <= position);
            if let Some((place, hasher)) = self.trail.last() {
                (self.hashed, self.hasher) = (*place, hasher.clone());
            }
            self.rest.clear();
            self.pieces = None;
        } else {
            let passed = usize::try_from(position - self.position).unwrap_or(usize::MAX);
            self.rest = self.rest.split_off(passed.min(self.rest.len()));
        }
        self.position = position;
    }

    /// Returns the next bytes before `end`; nothing where that is reached.
    pub(crate) async fn next(&mut self, end: u64) -> Result<Option<Bytes>> {
        if self.blob.size == 0 {
            self.check()?;
        }
        if self.position >= end {
            return Ok(None);
        }
        while self.rest.is_empty() {
            self.fill().await?;
        }
        let most = usize::try_from(end - self.position).unwrap_or(usize::MAX);
        let piece = self.rest.split_to(most.min(self.rest.len()));
        self.position += piece.len() as u64;
        (self.report)(&Event::Sent { blob: &self.blob, bytes: self.position });
        Ok(Some(piece))
    }

    /// Reads the next piece and hashes it. A source that breaks off is asked for what is left.
    async fn fill(&mut self) -> Result<()> {
        loop {
            let mut pieces = match self.pieces.take() {
                Some(pieces) => pieces,
                None => match self.source.blob(&self.blob, self.hashed).await {
                    Ok(pieces) => {
                        self.opened = self.hashed;
                        pieces
                    }
                    Err(error) => {
                        self.pause(error).await?;
                        continue;
                    }
                },
            };
            match pieces.pieces.next().await {
                Some(Ok(piece)) => {
                    let start = pieces.start;
                    pieces.start += piece.len() as u64;
                    self.pieces = Some(pieces);
                    if self.take(start, piece)? {
                        return Ok(());
                    }
                }
                // Registries may cut ranges, but not to nothing.
                None if self.hashed > self.opened => {}
                None => {
                    let (digest, size) = (self.blob.digest.clone(), self.blob.size);
                    let place = self.source.to_string();
                    return Err(CopyError::Short { place, digest, has: self.hashed, size });
                }
                Some(Err(error)) => self.pause(error).await?,
            }
        }
    }

    /// Takes a piece that begins at `start`. Returns whether there is something to hand on.
    fn take(&mut self, start: u64, mut piece: Bytes) -> Result<bool> {
        let known = usize::try_from(self.hashed.saturating_sub(start))
            .unwrap_or(usize::MAX)
            .min(piece.len());
        piece = piece.slice(known..);
        if piece.is_empty() {
            return Ok(false);
        }
        // A piece is what one read of a socket or file brought, so that this takes some microseconds.
        self.hasher.update(&piece);
        let begin = self.hashed;
        self.hashed += piece.len() as u64;
        self.attempts.brought(piece.len() as u64);
        if self.hashed > self.blob.size {
            let (digest, size) = (self.blob.digest.clone(), self.blob.size);
            return Err(CopyError::Size { place: self.source.to_string(), digest, size });
        }
        if self.hashed == self.blob.size {
            self.check()?;
        }
        let step = STEP.max(self.blob.size / MOST_STEPS);
        if self.trail.last().is_none_or(|(place, _)| self.hashed - place >= step) {
            self.trail.push((self.hashed, self.hasher.clone()));
        }
        let unwanted = self.position.saturating_sub(begin);
        let unwanted = usize::try_from(unwanted).unwrap_or(usize::MAX).min(piece.len());
        self.rest = piece.slice(unwanted..);
        Ok(!self.rest.is_empty())
    }

    fn check(&self) -> Result<()> {
        let (expected, actual) = (&self.blob.digest, self.hasher.clone().finish());
        if actual == *expected {
            return Ok(());
        }
        Err(CopyError::Digest {
            place: self.source.to_string(),
            expected: expected.clone(),
            actual,
        })
    }

    async fn pause(&mut self, error: CopyError) -> Result<()> {
        let pause = error.of_registry().and_then(|failure| self.attempts.pause(failure));
        let Some(pause) = pause else { return Err(error) };
        tracing::info!(%error, blob = %self.blob.digest, at = self.hashed, ?pause, "the source is asked for the rest");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Returns the bytes of a feed from its place up to `end`, for a request.
pub(crate) fn body(
    feed: &Arc<Mutex<Feed>>,
    end: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(Arc::clone(feed), move |feed| async move {
        let piece = feed.lock().await.next(end).await.map_err(io::Error::other)?;
        Ok(piece.map(|piece| (piece, feed)))
    })
}
