//! Reading a tar-split, ours or a dockerd's.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::ArchiveError;

use super::{FILE, SEGMENT};

/// The longest line, in bytes. Old dockerds wrote all that follows a tar's end mark as one segment.
const MAX_LINE: u64 = 64 << 20;

/// One entry; it borrows the reader's buffers.
#[derive(Debug)]
pub(crate) enum SplitEntry<'a> {
    Segment(&'a [u8]),
    File { name: Cow<'a, [u8]>, size: u64, checksum: [u8; 8] },
}

/// Reads the entries of a tar-split.
pub(crate) struct SplitReader<R: Read> {
    source: BufReader<MultiGzDecoder<BufReader<R>>>,
    line: Vec<u8>,
    payload: Vec<u8>,
    number: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    name_raw: Option<Cow<'a, str>>,
    #[serde(default)]
    size: i64,
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
}

impl<R: Read> SplitReader<R> {
    pub(crate) fn new(source: R) -> Self {
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, source));
        Self {
            source: BufReader::with_capacity(64 << 10, decoder),
            line: Vec::new(),
            payload: Vec::new(),
            number: 0,
        }
    }

    /// The next entry with bytes in the tar; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<SplitEntry<'_>>, ArchiveError> {
        loop {
            self.line.clear();
            self.number += 1;
            let limited = self.source.by_ref().take(MAX_LINE);
            let read = { limited }.read_until(b'\n', &mut self.line);
            if read.map_err(ArchiveError::SplitRead)? == 0 {
                return Ok(None);
            }
            // Files without content stand for nothing in the tar.
            let is_empty = |line: &Line<'_>| line.kind == FILE && line.size == 0;
            let skip = is_empty(&parse(&self.line, self.number)?);
            if !skip {
                break;
            }
        }
        // Parsed anew, as a borrow cannot leave the loop that refills the buffer.
        let line = parse(&self.line, self.number)?;
        let number = self.number;
        let broken = |problem| ArchiveError::Split { line: number, problem };
        self.payload.clear();
        let payload = line.payload.as_deref().unwrap_or_default();
        STANDARD
            .decode_vec(payload, &mut self.payload)
            .map_err(|_| broken("payload is no base64"))?;
        match line.kind {
            SEGMENT => Ok(Some(SplitEntry::Segment(&self.payload))),
            FILE => {
                let raw = line.name_raw.as_deref().unwrap_or_default();
                let name = if raw.is_empty() {
                    match line.name {
                        Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
                        Cow::Owned(name) => Cow::Owned(name.into_bytes()),
                    }
                } else {
                    let name = STANDARD.decode(raw).map_err(|_| broken("name is no base64"))?;
                    Cow::Owned(name)
                };
                let size = u64::try_from(line.size).map_err(|_| broken("negative size"))?;
                let checksum = self.payload.as_slice().try_into();
                let checksum = checksum.map_err(|_| broken("checksum is not of 8 bytes"))?;
                Ok(Some(SplitEntry::File { name, size, checksum }))
            }
            _ => Err(broken("unknown entry type")),
        }
    }
}

fn parse(line: &[u8], number: u64) -> Result<Line<'_>, ArchiveError> {
    serde_json::from_slice(line)
        .map_err(|_| ArchiveError::Split { line: number, problem: "no tar-split entry" })
}
