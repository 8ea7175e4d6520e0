//! The tar-split of a layer that is complete.

use std::fs::File;
use std::io::{self, Seek, Write};

use crate::ArchiveError;
use crate::apply::Replaced;
use crate::path::clean;

use super::{SplitEntry, SplitReader, SplitWriter};

/// Writes to `sink` what was drafted while the layer was unpacked, with content that is no longer in the layer's directory as
/// segments.
///
/// Entries of files without content go then, as they stand for nothing and a name may be there but once, for dockerd too.
pub(crate) fn settle<W: Write>(
    mut draft: File,
    mut replaced: Replaced,
    mut sink: W,
) -> Result<(), ArchiveError> {
    draft.rewind().map_err(ArchiveError::SplitRead)?;
    if replaced.is_nothing() {
        io::copy(&mut draft, &mut sink).map_err(ArchiveError::SplitWrite)?;
        return sink.flush().map_err(ArchiveError::SplitWrite);
    }
    let mut entries = SplitReader::new(draft);
    let mut settled = SplitWriter::new(sink);
    let mut path = Vec::new();
    while let Some(entry) = entries.advance()? {
        match entry {
            SplitEntry::Segment(bytes) => settled.segment(bytes)?,
            SplitEntry::File { name, size, checksum } => {
                clean(&name, &mut path);
                match replaced.take(&path) {
                    Some(piece) => replaced.read(piece, |bytes| settled.segment(bytes))?,
                    None => settled.file(&name, size, Some(checksum))?,
                }
            }
        }
    }
    settled.finish()
}
