//! Fuzz targets: tars, their extended headers, and tar-splits.

use std::collections::VecDeque;
use std::io::Write;

use crate::ArchiveError;
use crate::split::{SplitEntry, SplitReader, SplitWriter};
use crate::tar::{Chunks, Header, MAX_NAME, fuzz_pax};
use crate::walk::{Content, Repeats, Visitor, walk};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("tar", tar), ("pax", fuzz_pax), ("tar-split", tar_split)];

/// A tar that is read to its end is rebuilt to the byte from its tar-split and the content of its files.
fn tar(data: &[u8]) {
    let mut draft = Vec::new();
    let mut kept = Kept::default();
    let walked = walk(data, SplitWriter::new(&mut draft), &mut kept, Repeats::Refused);
    if walked.is_err() {
        return;
    }
    let mut rebuilt = Vec::new();
    let mut split = SplitReader::new(draft.as_slice());
    while let Some(entry) = split.advance().expect("a tar-split that was written cannot be read") {
        match entry {
            SplitEntry::Segment(bytes) => rebuilt.extend_from_slice(bytes),
            SplitEntry::File { size, .. } => {
                let content = kept.contents.pop_front().expect("a file has no content");
                assert_eq!(content.len() as u64, size);
                rebuilt.extend_from_slice(&content);
            }
        }
    }
    assert!(rebuilt == data, "the tar was rebuilt with other bytes");
}

/// Keeps the content of files that a layer's directory would have, and holds names to their bounds.
#[derive(Default)]
struct Kept {
    contents: VecDeque<Vec<u8>>,
}

impl Visitor for Kept {
    fn entry<C: Chunks, W: Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        assert!(header.name.len() <= MAX_NAME && header.link.len() <= MAX_NAME);
        let is_plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
        assert!(path.is_empty() || path.split(|byte| *byte == b'/').all(is_plain));
        for fragment in header.sparse.iter().flatten() {
            let size = u64::try_from(header.size).unwrap_or_default();
            assert!(fragment.offset + fragment.length <= size, "{fragment:?} is beyond {size}");
        }
        if content.is_kept() {
            let mut bytes = Vec::new();
            content.copy(|piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            self.contents.push_back(bytes);
        }
        Ok(())
    }
}

/// A tar-split that was read is written as one that reads the same.
fn tar_split(data: &[u8]) {
    let mut compressed = Vec::new();
    let mut gzip = flate2::write::GzEncoder::new(&mut compressed, flate2::Compression::fast());
    gzip.write_all(data).and_then(|()| gzip.finish()).expect("memory takes everything");
    let Ok(entries) = read(&compressed) else { return };
    let mut written = Vec::new();
    let mut writer = SplitWriter::new(&mut written);
    for entry in &entries {
        let result = match entry {
            Entry::Bytes(bytes) => writer.segment(bytes),
            Entry::File(name, size, checksum) => writer.file(name, *size, Some(*checksum)),
        };
        result.expect("memory takes everything");
    }
    writer.finish().expect("memory takes everything");
    assert_eq!(read(&written).expect("what was written cannot be read"), entries);
}

#[derive(Debug, PartialEq)]
enum Entry {
    Bytes(Vec<u8>),
    File(Vec<u8>, u64, [u8; 8]),
}

/// Entries of a tar-split, with segments that follow each other as one.
fn read(compressed: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let mut reader = SplitReader::new(compressed);
    let mut entries = Vec::new();
    while let Some(entry) = reader.advance()? {
        match (entry, entries.last_mut()) {
            (SplitEntry::Segment([]), _) => {}
            (SplitEntry::Segment(bytes), Some(Entry::Bytes(before))) => {
                before.extend_from_slice(bytes);
            }
            (SplitEntry::Segment(bytes), _) => entries.push(Entry::Bytes(bytes.to_vec())),
            (SplitEntry::File { name, size, checksum }, _) => {
                entries.push(Entry::File(name.into_owned(), size, checksum));
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
