//! From a stream of bytes to entries.

use crate::ArchiveError;

use super::header::{Format, Header, Kind, replace};
use super::number::{numeric, string};
use super::pax::{Key, Pax};
use super::sparse::{self, ContentMap, PaxSparse};
use super::{BLOCK_SIZE, Block, MAX_ENTRIES, MAX_HEADERS_SIZE, MAX_NAME, MAX_SPECIAL_SIZE};

/// Uncompressed bytes, handed out in the buffers that they were decompressed into.
pub(crate) trait Chunks {
    /// The bytes at the read position, at least one; none at the end of the stream.
    fn peek(&mut self) -> Result<&[u8], ArchiveError>;
    /// Moves the read position on by `count` bytes, at most those that were peeked.
    fn consume(&mut self, count: usize);

    /// Moves the read position on by `count` bytes without looking at them, or to the end of the stream. Returns how far.
    fn skip(&mut self, count: u64) -> Result<u64, ArchiveError> {
        let mut skipped = 0;
        while skipped < count {
            let left = usize::try_from(count - skipped).unwrap_or(usize::MAX);
            let length = self.peek()?.len().min(left);
            if length == 0 {
                break;
            }
            self.consume(length);
            skipped += length as u64;
        }
        Ok(skipped)
    }
}

/// The byte level: the position, the raw bytes since the last entry, and what is left of the current content.
#[derive(Debug)]
pub(crate) struct Stream<C> {
    chunks: C,
    offset: u64,
    /// Everything but content that was read since this was last cleared: padding, headers, maps.
    pub(crate) raw: Vec<u8>,
    /// Content of the current entry not yet read.
    remaining: u64,
    padding: u64,
}

impl<C: Chunks> Stream<C> {
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next piece of the current entry's content; `None` after the last.
    pub(crate) fn content(&mut self) -> Result<Option<&[u8]>, ArchiveError> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        let chunk = self.chunks.peek()?;
        if chunk.is_empty() {
            return Err(ArchiveError::Truncated { offset });
        }
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(chunk.len());
        Ok(Some(&chunk[..length]))
    }

    /// Moves on by `count` bytes of content that [`content`](Self::content) gave.
    pub(crate) fn consume_content(&mut self, count: usize) {
        self.remaining -= count as u64;
        self.consume(count);
    }

    /// Passes over what is left of the current entry's content.
    pub(crate) fn pass_over(&mut self) -> Result<(), ArchiveError> {
        let skipped = self.chunks.skip(self.remaining)?;
        self.remaining -= skipped;
        self.offset += skipped;
        if self.remaining > 0 {
            return Err(self.truncated());
        }
        Ok(())
    }

    /// Returns the bytes that follow the end mark, piece by piece; `None` at the end.
    pub(crate) fn trailer(&mut self) -> Result<Option<&[u8]>, ArchiveError> {
        let chunk = self.chunks.peek()?;
        Ok(if chunk.is_empty() { None } else { Some(chunk) })
    }

    /// Moves on by `count` bytes of the trailer.
    pub(crate) fn consume(&mut self, count: usize) {
        self.offset += count as u64;
        self.chunks.consume(count);
    }

    /// Reads `count` bytes to `raw`; fewer only at the end of the stream.
    fn read_raw(&mut self, count: usize) -> Result<usize, ArchiveError> {
        let mut read = 0;
        while read < count {
            let chunk = self.chunks.peek()?;
            if chunk.is_empty() {
                break;
            }
            let length = chunk.len().min(count - read);
            self.raw.extend_from_slice(&chunk[..length]);
            self.consume(length);
            read += length;
        }
        Ok(read)
    }

    /// Reads a block to `raw` and copies it out. `None` at the end of the stream.
    fn read_block(&mut self) -> Result<Option<Block>, ArchiveError> {
        match self.read_raw(BLOCK_SIZE)? {
            0 => Ok(None),
            BLOCK_SIZE => {
                let start = self.raw.len() - BLOCK_SIZE;
                let mut block = [0; BLOCK_SIZE];
                block.copy_from_slice(&self.raw[start..]);
                Ok(Some(block))
            }
            _ => Err(self.truncated()),
        }
    }

    /// Sets up the content of an entry of which `size` bytes are in the tar.
    fn set_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.wrapping_neg() % BLOCK_SIZE as u64;
    }

    fn truncated(&self) -> ArchiveError {
        ArchiveError::Truncated { offset: self.offset }
    }

    fn invalid(&self, problem: &'static str) -> ArchiveError {
        ArchiveError::Header { offset: self.offset, problem }
    }
}

/// Reads a tar entry by entry.
#[derive(Debug)]
pub(crate) struct TarReader<C> {
    pub(crate) stream: Stream<C>,
    pub(crate) header: Header,
    pax: Pax,
    special: Vec<u8>,
    long_name: Vec<u8>,
    long_link: Vec<u8>,
    headers: u64,
}

const BAD_NUMBER: &str = "malformed number";
const BAD_SPARSE: &str = "malformed sparse map";
const BAD_PAX: &str = "malformed extended header";

impl<C: Chunks> TarReader<C> {
    pub(crate) fn new(chunks: C) -> Self {
        let stream = Stream { chunks, offset: 0, raw: Vec::new(), remaining: 0, padding: 0 };
        Self {
            stream,
            header: Header::default(),
            pax: Pax::default(),
            special: Vec::new(),
            long_name: Vec::new(),
            long_link: Vec::new(),
            headers: 0,
        }
    }

    /// Reads to the next entry, which is then in `header`, with its raw bytes appended to `stream.raw`.
    ///
    /// The content of the entry before must have been consumed. Returns `false` at the end mark, or where the stream
    /// ends between entries: then only the [`trailer`](Stream::trailer) is left.
    pub(crate) fn advance(&mut self) -> Result<bool, ArchiveError> {
        self.pax.clear();
        self.long_name.clear();
        self.long_link.clear();
        loop {
            let padding = std::mem::take(&mut self.stream.padding);
            let padding = usize::try_from(padding).unwrap_or(BLOCK_SIZE);
            if self.stream.read_raw(padding)? < padding {
                return Ok(false);
            }
            let Some(block) = self.read_header()? else { return Ok(false) };
            match self.header.kind {
                Kind::Extended => {
                    self.read_special("extended header")?;
                    self.parse_pax()?;
                }
                Kind::Global => {
                    self.read_special("global header")?;
                    self.parse_pax()?;
                    self.header.merge(&self.pax).ok_or_else(|| self.stream.invalid(BAD_PAX))?;
                    self.check_name()?;
                    self.header.size = 0;
                    return Ok(true);
                }
                Kind::LongName => {
                    self.read_special("name")?;
                    replace(&mut self.long_name, string(&self.special));
                }
                Kind::LongLink => {
                    self.read_special("link target")?;
                    replace(&mut self.long_link, string(&self.special));
                }
                _ => {
                    self.complete(&block)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Reads a header block. `None` at the end of the archive.
    fn read_header(&mut self) -> Result<Option<Block>, ArchiveError> {
        let Some(block) = self.stream.read_block()? else { return Ok(None) };
        if block == [0; BLOCK_SIZE] {
            return match self.stream.read_block()? {
                None => Ok(None),
                Some(second) if second == [0; BLOCK_SIZE] => Ok(None),
                Some(_) => Err(self.stream.invalid("a single zero block")),
            };
        }
        let format = Format::of(&block).ok_or_else(|| self.stream.invalid("wrong checksum"))?;
        self.header.read(&block, format).ok_or_else(|| self.stream.invalid(BAD_NUMBER))?;
        self.set_content()?;
        self.headers += 1;
        if self.headers > MAX_ENTRIES {
            return Err(ArchiveError::TooManyEntries { limit: MAX_ENTRIES });
        }
        if self.stream.raw.len() > MAX_HEADERS_SIZE {
            let (offset, limit) = (self.stream.offset, MAX_HEADERS_SIZE as u64);
            return Err(ArchiveError::FieldTooLong { offset, field: "extended headers", limit });
        }
        Ok(Some(block))
    }

    fn set_content(&mut self) -> Result<(), ArchiveError> {
        let size = if self.header.kind.is_header_only() {
            0
        } else {
            u64::try_from(self.header.size).map_err(|_| self.stream.invalid("negative size"))?
        };
        self.stream.set_content(size);
        Ok(())
    }

    /// Reads the content of an entry that describes the next one into `special` and `raw`.
    fn read_special(&mut self, field: &'static str) -> Result<(), ArchiveError> {
        let size = self.stream.remaining;
        if size > MAX_SPECIAL_SIZE {
            let offset = self.stream.offset;
            return Err(ArchiveError::FieldTooLong { offset, field, limit: MAX_SPECIAL_SIZE });
        }
        let start = self.stream.raw.len();
        let count = usize::try_from(size).unwrap_or(usize::MAX);
        if self.stream.read_raw(count)? < count {
            return Err(self.stream.truncated());
        }
        self.stream.remaining = 0;
        replace(&mut self.special, &self.stream.raw[start..]);
        Ok(())
    }

    fn parse_pax(&mut self) -> Result<(), ArchiveError> {
        self.pax.parse(&self.special).ok_or_else(|| self.stream.invalid(BAD_PAX))
    }

    /// Applies the extended headers to the entry's own and reads its sparse map.
    fn complete(&mut self, block: &Block) -> Result<(), ArchiveError> {
        let header = &mut self.header;
        header.merge(&self.pax).ok_or_else(|| self.stream.invalid(BAD_PAX))?;
        if !self.long_name.is_empty() {
            replace(&mut header.name, &self.long_name);
        }
        if !self.long_link.is_empty() {
            replace(&mut header.link, &self.long_link);
        }
        // Before ustar a directory was an ordinary entry with a slash at the end.
        if block[156] == 0 && header.name.ends_with(b"/") {
            header.kind = Kind::Directory;
        }
        self.set_content()?;
        match self.header.kind {
            Kind::OldSparse => self.read_old_sparse(block)?,
            // Its content has no use but for a restore by GNU tar.
            Kind::DumpDirectory => self.header.kind = Kind::Directory,
            Kind::Continuation => {
                let name = crate::error::printable(&self.header.name);
                return Err(ArchiveError::Continuation { name });
            }
            _ => self.read_pax_sparse()?,
        }
        self.check_name()
    }

    fn check_name(&self) -> Result<(), ArchiveError> {
        if self.header.fits() {
            return Ok(());
        }
        let offset = self.stream.offset;
        Err(ArchiveError::FieldTooLong { offset, field: "name", limit: MAX_NAME as u64 })
    }

    fn read_old_sparse(&mut self, block: &Block) -> Result<(), ArchiveError> {
        if Format::of(block) != Some(Format::Gnu) {
            return Err(self.stream.invalid("sparse file in a format that has none"));
        }
        let size = numeric(&block[483..495]).ok_or_else(|| self.stream.invalid(BAD_NUMBER))?;
        self.header.size = size;
        let mut map = Vec::new();
        let mut more = sparse::from_block(block, true, &mut map);
        let mut read = 0;
        while more == Some(true) && read < MAX_SPECIAL_SIZE {
            let block = self.stream.read_block()?.ok_or_else(|| self.stream.truncated())?;
            more = sparse::from_block(&block, false, &mut map);
            read += BLOCK_SIZE as u64;
        }
        if more != Some(false) {
            return Err(self.stream.invalid(BAD_SPARSE));
        }
        self.header.kind = Kind::Regular;
        self.set_sparse(Some(map))
    }

    fn read_pax_sparse(&mut self) -> Result<(), ArchiveError> {
        let format = PaxSparse::of(&self.pax);
        if format == PaxSparse::No {
            return Ok(());
        }
        if let Some(name) = self.pax.get(Key::SparseName) {
            replace(&mut self.header.name, name);
        }
        if let Some(size) = self.pax.get(Key::SparseSize).or(self.pax.get(Key::SparseRealSize)) {
            let size = super::number::decimal(size);
            self.header.size = size.ok_or_else(|| self.stream.invalid(BAD_NUMBER))?;
        }
        let map = match format {
            PaxSparse::InContent => self.read_content_map()?,
            _ => sparse::from_records(&self.pax),
        };
        self.set_sparse(map)
    }

    fn read_content_map(&mut self) -> Result<Option<Vec<sparse::Fragment>>, ArchiveError> {
        let mut map = ContentMap::default();
        loop {
            match map.wants_more() {
                None => return Ok(None),
                Some(false) => return Ok(map.fragments()),
                Some(true) if self.stream.remaining < BLOCK_SIZE as u64 => {
                    return Err(self.stream.truncated());
                }
                Some(true) => {
                    let block = self.stream.read_block()?.ok_or_else(|| self.stream.truncated())?;
                    self.stream.remaining -= BLOCK_SIZE as u64;
                    map.push(&block);
                }
            }
        }
    }

    fn set_sparse(&mut self, map: Option<Vec<sparse::Fragment>>) -> Result<(), ArchiveError> {
        let valid = map.filter(|map| {
            let size = u64::try_from(self.header.size).ok();
            !self.header.kind.is_header_only()
                && size.is_some_and(|size| sparse::is_valid(map, size, self.stream.remaining))
        });
        self.header.sparse = Some(valid.ok_or_else(|| self.stream.invalid(BAD_SPARSE))?);
        Ok(())
    }
}

impl Chunks for &[u8] {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        Ok(self)
    }

    fn consume(&mut self, count: usize) {
        *self = &self[count..];
    }
}
