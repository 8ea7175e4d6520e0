//! Writing a part of a download.

use std::ops::Range;
use std::sync::Arc;

use super::{SEGMENT_SIZE, Shared, Source};
use crate::StoreError;

/// The bytes that are written before it is noted that they are there: a process that is killed can lose so many, per writer.
const NOTED_SIZE: usize = 64 << 10;

/// The right to write one range of a download. Dropped, the rest of the range is free for another.
#[derive(Debug)]
pub struct SegmentWriter {
    source: Arc<Source>,
    range: Range<u64>,
    position: u64,
}

impl SegmentWriter {
    pub(super) fn claim(source: &Arc<Source>, range: Range<u64>) -> Result<Self, StoreError> {
        let shared = &source.shared;
        let refused = |reason| StoreError::Range {
            digest: shared.digest.clone(),
            start: range.start,
            end: range.end,
            reason,
        };
        if range.is_empty() || range.end > shared.size {
            return Err(refused("the blob has no such bytes"));
        }
        let mut state = shared.state();
        let (_, present, _) = state.progress.locate(range.start);
        if range.start > present && !range.start.is_multiple_of(SEGMENT_SIZE) {
            return Err(refused("it would leave a gap in a segment"));
        }
        let meets = |other: &Range<u64>| other.start < range.end && range.start < other.end;
        if state.claimed.iter().any(meets) {
            return Err(refused("somebody else is writing there"));
        }
        state.claimed.push(range.clone());
        drop(state);
        Ok(Self { source: Arc::clone(source), position: range.start, range })
    }

    /// Returns where the next byte goes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns how many bytes the range still takes.
    pub fn remaining(&self) -> u64 {
        self.range.end - self.position
    }

    /// Writes the next bytes and wakes those who wait for them.
    ///
    /// Bytes that are here already are skipped: a reader may have hashed the others. More bytes than the range takes are
    /// an error, and none of them is written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() as u64 > self.remaining() {
            return Err(StoreError::Range {
                digest: self.shared().digest.clone(),
                start: self.position,
                end: self.position.saturating_add(bytes.len() as u64),
                reason: "more bytes came than were asked for",
            });
        }
        while !bytes.is_empty() {
            let shared = self.shared();
            let (segment, present, end) = shared.state().progress.locate(self.position);
            let skips = self.position < present;
            let room = if skips { present } else { end } - self.position;
            let length =
                usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()).min(NOTED_SIZE);
            let (now, later) = bytes.split_at(length);
            let next = self.position + length as u64;
            if !skips {
                // Outside the mutex: the range is ours, so is the segment's counter.
                shared.write_at(now, self.position)?;
                shared.state().progress.advance(segment, next)?;
                shared.changed.notify_all();
            }
            self.position = next;
            bytes = later;
        }
        Ok(())
    }

    fn shared(&self) -> &Shared {
        &self.source.shared
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        let mut state = self.shared().state();
        if let Some(index) = state.claimed.iter().position(|range| *range == self.range) {
            state.claimed.swap_remove(index);
        }
    }
}
