//! The one loop over a tar's entries, shared by everything that reads layers.

use std::io::Write;

use crate::ArchiveError;
use crate::error::printable;
use crate::path::{clean, identity, split};
use crate::seen::Seen;
use crate::split::{Checksum, SplitWriter};
use crate::tar::{Chunks, Header, Kind, Stream, TarReader};

/// Marks a whiteout: the rest of the name is what it hides in the layers below.
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Hides all that the layers below have in its directory.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Raw bytes that are held before they go to the tar-split.
const RAW_LIMIT: usize = 256 << 10;

/// The part that takes the entries.
pub(crate) trait Visitor {
    /// Takes one entry; `path` is its cleaned name, empty for the root. Global headers and labels, which are no
    /// files, do not come here.
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
    /// The path in the layer's directory, if it is not the entry's name.
    kept_at: Option<Vec<u8>>,
}

/// The form in which content gets into the tar-split.
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
    /// Says whether the tar-split counts on finding the content in the layer's directory.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.record, Record::Checksum(_))
    }

    /// Says whether the content is to be found elsewhere than under the entry's name.
    pub(crate) fn is_renamed(&self) -> bool {
        self.kept_at.is_some()
    }

    /// Tells where in the layer's directory the content is to be found, if not under the entry's name.
    pub(crate) fn keep_at(&mut self, path: &[u8]) {
        self.kept_at = Some(path.to_vec());
    }

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

/// The answer to a path that occurs twice, literally.
///
/// dockerd and podman refuse it ("duplicates of file paths not supported"), and so does whoever brings a layer into a data root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    Refused,
    /// For layers that are in a data root already.
    Taken,
}

/// Reads the tar to its very end and returns the number of entries.
pub(crate) fn walk<C: Chunks, W: Write>(
    chunks: C,
    mut split: SplitWriter<W>,
    visitor: &mut impl Visitor,
    repeats: Repeats,
) -> Result<u64, ArchiveError> {
    let mut reader = TarReader::new(chunks);
    let mut seen = Seen::default();
    let mut path = Vec::new();
    let mut entries = 0;
    while reader.advance()? {
        entries += 1;
        let TarReader { stream, header, .. } = &mut reader;
        flush_raw(stream, &mut split)?;
        if matches!(header.kind, Kind::Global | Kind::Label) {
            // The names are none of files, and files may have them.
            while let Some(chunk) = stream.content()? {
                split.segment(chunk)?;
                let length = chunk.len();
                stream.consume_content(length);
            }
            continue;
        }
        let climbs = clean(&header.name, &mut path);
        // As dockerd sees it, `/a` is another path than `a`, and what comes last is what stays.
        if repeats == Repeats::Refused && !seen.insert(&identity(&header.name, climbs, &path)) {
            return Err(ArchiveError::Duplicate { name: printable(&header.name) });
        }
        let record = match place(&path, header, stream.remaining()) {
            _ if !split.is_enabled() => Record::Nothing,
            Place::Directory => Record::Checksum(Checksum::new()),
            Place::Nowhere => Record::Segments,
        };
        if matches!(record, Record::Segments) {
            split.file(&header.name, 0, None)?;
        }
        let size = stream.remaining();
        // By a name that climbs, dockerd would look for the content outside of the layer's directory.
        let kept_at = (climbs > 0).then(|| path.clone());
        let mut content = Content { stream, split: &mut split, record, kept_at };
        visitor.entry(&path, header, &mut content)?;
        content.copy(|_| Ok(()))?;
        if let Record::Checksum(checksum) = content.record {
            let name = content.kept_at.as_deref().unwrap_or(&header.name);
            split.file(name, size, Some(checksum.finish()))?;
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

/// The place at which an entry's content can be found later.
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
