//! The one loop over a tar's entries, shared by everything that reads layers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::io::Write;

use crate::ArchiveError;
use crate::error::printable;
use crate::path::{clean, split};
use crate::split::{Checksum, SplitWriter};
use crate::tar::{Chunks, Header, Kind, Stream, TarReader};

/// Marks a whiteout: the rest of the name is what it hides in the layers below.
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Hides all that the layers below have in its directory.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Raw bytes that are held before they go to the tar-split.
const RAW_LIMIT: usize = 256 << 10;

/// What becomes of the entries.
pub(crate) trait Visitor {
    /// Takes one entry; `path` is its cleaned name, empty for the root. Global headers do not come here.
    fn entry<C: Chunks, W: Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError>;
}

/// The content of one entry. What a visitor leaves unread is read after it.
#[derive(Debug)]
pub(crate) struct Content<'a, C, W: Write> {
    stream: &'a mut Stream<C>,
    split: &'a mut SplitWriter<W>,
    record: Record,
}

/// How content gets into the tar-split.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack; a box would be an allocation a file"
)]
enum Record {
    /// By its checksum, for it will be in the layer's directory.
    Checksum(Checksum),
    /// As it is.
    Segments,
    /// Not at all: there is no tar-split.
    Nothing,
}

impl<C: Chunks, W: Write> Content<'_, C, W> {
    /// Hands out all of the content (for a sparse file that of its fragments) in order, in large pieces.
    pub(crate) fn copy(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        while let Some(chunk) = self.stream.content()? {
            match &mut self.record {
                Record::Checksum(checksum) => checksum.update(chunk),
                Record::Segments => self.split.segment(chunk)?,
                Record::Nothing => {}
            }
            take(chunk)?;
            let length = chunk.len();
            self.stream.consume_content(length);
        }
        Ok(())
    }
}

/// Reads the tar to its very end and returns the number of entries.
pub(crate) fn walk<C: Chunks, W: Write>(
    chunks: C,
    mut split: SplitWriter<W>,
    visitor: &mut impl Visitor,
) -> Result<u64, ArchiveError> {
    let mut reader = TarReader::new(chunks);
    let mut seen = Seen::default();
    let mut path = Vec::new();
    let mut entries = 0;
    while reader.advance()? {
        entries += 1;
        let TarReader { stream, header, .. } = &mut reader;
        flush_raw(stream, &mut split)?;
        if header.kind == Kind::Global {
            if split.is_enabled() && seen.insert(&header.name, false) == Earlier::None {
                split.file(&header.name, 0, None)?;
            }
            continue;
        }
        clean(&header.name, &mut path)?;
        let place = place(&path, header, stream.remaining());
        let earlier = if split.is_enabled() {
            seen.insert(&path, place == Place::Directory)
        } else {
            Earlier::None
        };
        if earlier == Earlier::WithContent {
            return Err(ArchiveError::Duplicate { name: printable(&header.name) });
        }
        let is_new = earlier == Earlier::None;
        let by_checksum = place == Place::Directory && is_new && split.is_enabled();
        let record = match place {
            _ if by_checksum => Record::Checksum(Checksum::new()),
            _ if split.is_enabled() => Record::Segments,
            _ => Record::Nothing,
        };
        if is_new && !by_checksum {
            split.file(&header.name, 0, None)?;
        }
        let size = stream.remaining();
        let mut content = Content { stream, split: &mut split, record };
        visitor.entry(&path, header, &mut content)?;
        content.copy(|_| Ok(()))?;
        if let Record::Checksum(checksum) = content.record {
            split.file(&header.name, size, Some(checksum.finish()))?;
        }
    }
    let stream = &mut reader.stream;
    flush_raw(stream, &mut split)?;
    while let Some(chunk) = stream.trailer()? {
        split.segment(chunk)?;
        let length = chunk.len();
        stream.consume(length);
    }
    split.finish()?;
    Ok(entries)
}

fn flush_raw<C, W: Write>(
    stream: &mut Stream<C>,
    split: &mut SplitWriter<W>,
) -> Result<(), ArchiveError> {
    split.segment(&stream.raw)?;
    stream.raw.clear();
    stream.raw.shrink_to(RAW_LIMIT);
    Ok(())
}

/// Where an entry's content can be found later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the layer's directory, under the entry's name.
    Directory,
    /// There is none, or it is nowhere to be found in the form that it has in the tar.
    Nowhere,
}

fn place(path: &[u8], header: &Header, size: u64) -> Place {
    let is_file = header.kind == Kind::Regular && header.sparse.is_none() && !path.is_empty();
    if is_file && size > 0 && !split(path).1.starts_with(WHITEOUT_PREFIX) {
        Place::Directory
    } else {
        Place::Nowhere
    }
}

/// The paths so far. A tar-split names files by path, so each can have content but once.
///
/// Only keyed hashes of the paths are kept, 64 bits each: an attacker cannot aim at a collision, and by chance one in
/// ten thousand million layers of 60,000 entries is refused for it.
#[derive(Debug, Default)]
struct Seen {
    paths: HashMap<u64, bool, BuildHasherDefault<Identity>>,
    keys: RandomState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    None,
    WithoutContent,
    WithContent,
}

impl Seen {
    fn insert(&mut self, path: &[u8], has_content: bool) -> Earlier {
        match self.paths.entry(self.keys.hash_one(path)) {
            Entry::Vacant(vacant) => {
                vacant.insert(has_content);
                Earlier::None
            }
            // Stays as it was: the content of a second entry goes to segments.
            Entry::Occupied(earlier) if *earlier.get() => Earlier::WithContent,
            Entry::Occupied(_) => Earlier::WithoutContent,
        }
    }
}

/// Hashes are not hashed again.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
