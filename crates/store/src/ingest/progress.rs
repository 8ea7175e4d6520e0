//! The progress of a download: one counter a segment, in a file beside the bytes.
//!
//! ```text
//! "LSINGST1" | size of the blob | bytes written of segment 0 | of segment 1 | …       each u64, little endian
//! ```
//!
//! A counter is written after the bytes that it counts, so after a `kill -9` all that it says is there. After a power cut it
//! may say too much; the bytes are hashed before they are used. That would not tell of a write that the disk failed: until
//! memory forgets the bytes they read as they were written. So what an earlier try left is synced first, by a description that
//! is opened anew: nobody else syncs the file by itself, hence nobody was told of its failure before.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::{StoreError, files};

/// The size of the pieces of a blob that are counted one by one, in bytes: the grain in which parallel requests start.
pub const SEGMENT_SIZE: u64 = 8 << 20;

const MAGIC: &[u8; 8] = b"LSINGST1";
const HEADER: u64 = 16;

/// The counters of one download and the file that they are in.
#[derive(Debug)]
pub(super) struct Progress {
    disk: Disk,
    path: PathBuf,
    file: File,
    size: u64,
    counters: Vec<u64>,
    /// The segments before this one are complete.
    first_open: usize,
}

impl Progress {
    /// Reads the counters of the download in `data`; starts anew if they are not for `size` bytes.
    pub(super) fn open(
        disk: &Disk,
        path: &Path,
        data_path: &Path,
        data: &File,
        size: u64,
    ) -> Result<Self, StoreError> {
        if let Some(progress) = Self::read(disk, path, data_path, data, size)? {
            if progress.present() == 0 {
                return Ok(progress);
            }
            match disk.sync_file(data, data_path) {
                Ok(()) => return Ok(progress),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(
                        error,
                        "the disk failed to write a partial download, it begins anew"
                    );
                }
            }
        }
        // Without its counters nothing of an older file counts, and a file of zeros must not be cut short by them.
        disk.remove_file(path)?;
        disk.set_size(data, 0)
            .and_then(|()| disk.set_size(data, size))
            .map_err(|error| StoreError::io("resize", data_path, error))?;
        let count = size.div_ceil(SEGMENT_SIZE);
        let counters = vec![0; usize::try_from(count).unwrap_or_default()];
        let mut bytes = Vec::with_capacity(counters.len() * 8 + MAGIC.len() + 8);
        bytes.extend(MAGIC);
        bytes.extend(size.to_le_bytes());
        bytes.resize(bytes.len() + counters.len() * 8, 0);
        let file = disk.write_new(path, &bytes, 0o600)?;
        Ok(Self { disk: disk.clone(), path: path.to_owned(), file, size, counters, first_open: 0 })
    }

    fn read(
        disk: &Disk,
        path: &Path,
        data_path: &Path,
        data: &File,
        size: u64,
    ) -> Result<Option<Self>, StoreError> {
        let file = match disk.open(path, File::options().read(true).write(true)) {
            Ok(file) => file,
            Err(error) if files::is_missing(&error) => return Ok(None),
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        let length =
            data.metadata().map_err(|error| StoreError::io("look at", data_path, error))?.len();
        let expected = HEADER + size.div_ceil(SEGMENT_SIZE) * 8;
        let actual = file.metadata().map_err(|error| StoreError::io("look at", path, error))?.len();
        if length != size || actual != expected {
            return Ok(None);
        }
        let bytes = files::read_open(&file, path, expected)?;
        let Some(counters) = parse(&bytes, size) else { return Ok(None) };
        let mut progress =
            Self { disk: disk.clone(), path: path.to_owned(), file, size, counters, first_open: 0 };
        progress.skip_complete();
        Ok(Some(progress))
    }

    /// Counts the bytes up to `end` of the segment that it is in or ends.
    pub(super) fn advance(&mut self, segment: usize, end: u64) -> Result<(), StoreError> {
        let counter = end - start(segment);
        let offset = HEADER + segment as u64 * 8;
        self.disk
            .write_at(&self.file, &counter.to_le_bytes(), offset)
            .map_err(|error| StoreError::io("write", &self.path, error))?;
        self.counters[segment] = counter;
        self.skip_complete();
        Ok(())
    }

    /// Returns the segment of a byte, the end of what is there of it, and the segment's end.
    pub(super) fn locate(&self, position: u64) -> (usize, u64, u64) {
        let segment = usize::try_from(position / SEGMENT_SIZE).unwrap_or(usize::MAX);
        (segment, start(segment) + self.counters[segment], self.end(segment))
    }

    /// Returns how many bytes are there without a gap from the start.
    pub(super) fn prefix(&self) -> u64 {
        match self.counters.get(self.first_open) {
            Some(counter) => start(self.first_open) + counter,
            None => self.size,
        }
    }

    pub(super) fn present(&self) -> u64 {
        self.counters.iter().sum()
    }

    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for (segment, counter) in self.counters.iter().enumerate() {
            let range = start(segment) + counter..self.end(segment);
            if range.is_empty() {
                continue;
            }
            match missing.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => missing.push(range),
            }
        }
        missing
    }

    fn end(&self, segment: usize) -> u64 {
        (start(segment) + SEGMENT_SIZE).min(self.size)
    }

    fn skip_complete(&mut self) {
        while self.first_open < self.counters.len()
            && start(self.first_open) + self.counters[self.first_open] == self.end(self.first_open)
        {
            self.first_open += 1;
        }
    }
}

/// Returns the first byte of a segment.
fn start(segment: usize) -> u64 {
    segment as u64 * SEGMENT_SIZE
}

/// Reads the counters; `None` if they are not for a blob of `size` bytes.
fn parse(bytes: &[u8], size: u64) -> Option<Vec<u64>> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (stored, counters) = rest.split_first_chunk::<8>()?;
    if magic != MAGIC || u64::from_le_bytes(*stored) != size {
        return None;
    }
    let (counters, []) = counters.as_chunks::<8>() else { return None };
    let counters: Vec<u64> = counters.iter().map(|counter| u64::from_le_bytes(*counter)).collect();
    let fits = |(segment, counter): (usize, &u64)| {
        *counter <= SEGMENT_SIZE.min(size.saturating_sub(start(segment)))
    };
    counters.iter().enumerate().all(fits).then_some(counters)
}

/// Cuts `ranges` into about `count` of about the same length, each cut at the start of a segment.
pub(super) fn split(ranges: &[Range<u64>], count: usize) -> Vec<Range<u64>> {
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let length = total.div_ceil(count.max(1) as u64).next_multiple_of(SEGMENT_SIZE);
    let mut parts = Vec::new();
    for range in ranges {
        let mut start = range.start;
        // A rest of less than a segment is not worth a request.
        while range.end - start > length + SEGMENT_SIZE {
            let cut = (start + length).next_multiple_of(SEGMENT_SIZE);
            parts.push(start..cut);
            start = cut;
        }
        parts.push(start..range.end);
    }
    parts
}

/// Fuzz target: no counter promises more than its segment holds, and the parts of what is missing are all of it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let stored = data.get(8..16).and_then(|bytes| bytes.try_into().ok());
    let size = u64::from_le_bytes(stored.unwrap_or_default());
    if size > super::MAX_BLOB_SIZE {
        return;
    }
    let Some(counters) = parse(data, size) else { return };
    assert!(counters.iter().sum::<u64>() <= size);
    let missing: Vec<Range<u64>> = counters
        .iter()
        .enumerate()
        .map(|(segment, counter)| {
            start(segment) + counter..(start(segment) + SEGMENT_SIZE).min(size)
        })
        .filter(|range| !range.is_empty())
        .collect();
    for count in 0..5 {
        let parts = split(&missing, count);
        assert!(parts.iter().all(|part| !part.is_empty()));
        let length = |ranges: &[Range<u64>]| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
        assert_eq!(length(&parts), length(&missing));
        assert!(parts.is_sorted_by(|one, next| one.end <= next.start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = SEGMENT_SIZE;

    #[test]
    fn refuses_counters_that_cannot_be() {
        let state = |size: u64, counters: &[u64]| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(size.to_le_bytes());
            bytes.extend(counters.iter().flat_map(|counter| counter.to_le_bytes()));
            bytes
        };
        assert_eq!(parse(&state(S + 5, &[S, 5]), S + 5), Some(vec![S, 5]));
        for (what, bytes, size) in [
            ("empty", vec![], 5),
            ("torn header", state(5, &[])[..12].to_vec(), 5),
            ("torn counter", state(5, &[5])[..20].to_vec(), 5),
            ("other magic", [b"LSINGST2", &state(5, &[5])[8..]].concat(), 5),
            ("other size", state(6, &[5]), 5),
            ("beyond the segment", state(S + 5, &[S + 1, 0]), S + 5),
            ("beyond the blob", state(S + 5, &[0, 6]), S + 5),
            ("beyond any sum", state(S + 5, &[u64::MAX, 6]), S + 5),
        ] {
            assert_eq!(parse(&bytes, size), None, "{what}");
        }
    }

    #[expect(clippy::single_range_in_vec_init, reason = "lists of one range are meant as such")]
    #[test]
    fn splits_at_segments_and_covers_all() {
        for (ranges, count, expected) in [
            (vec![], 4, vec![]),
            (vec![0..5], 4, vec![0..5]),
            (vec![0..S], 4, vec![0..S]),
            (vec![0..8 * S], 2, vec![0..4 * S, 4 * S..8 * S]),
            (vec![0..8 * S + 1], 2, vec![0..5 * S, 5 * S..8 * S + 1]),
            (vec![7..8 * S], 2, vec![7..5 * S, 5 * S..8 * S]),
            (vec![0..5, 2 * S..3 * S], 1, vec![0..5, 2 * S..3 * S]),
            (vec![0..5], 0, vec![0..5]),
        ] {
            assert_eq!(split(&ranges, count), expected, "{ranges:?} in {count}");
        }
    }
}
