//! An archive that holds layers: read entry by entry, of any compression.
//!
//! The content of an entry is handed out while it arrives, so memory stays flat. A compressed archive is decompressed on a
//! second thread.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::thread::{Builder, scope};

use crate::codec::decoder;
use crate::in_place::InPlace;
use crate::path::clean;
use crate::relay::relay;
use crate::source::{CHUNK_SIZE, Input};
use crate::tar::{Chunks, Fragment, Kind, Stream, TarReader};
use crate::{ArchiveError, Compression};

/// File, directory or link, as the tar has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file with content.
    File,
    /// A directory, which has no content.
    Directory,
    /// A symbolic link to this path, which is relative to the entry's directory.
    Symlink(Vec<u8>),
    /// A hard link to this path in the archive, cleaned.
    HardLink(Vec<u8>),
    /// A device or something else that such an archive has no use for.
    Other,
}

/// One entry, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its path from the archive's root, without `.`, `..` and needless slashes; empty for the root.
    pub path: Vec<u8>,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The number of bytes of its content.
    pub size: u64,
}

/// The content of an entry. What is left unread is passed over.
pub struct EntryContent<'a, 'b> {
    stream: &'a mut Stream<Box<dyn Chunks + Send + 'b>>,
    /// The places of the pieces of a sparse file.
    fragments: std::vec::IntoIter<Fragment>,
    /// The rest of the current piece.
    fragment: u64,
    position: u64,
    size: u64,
    /// The error of a read, until it is told in full.
    failed: Option<ArchiveError>,
}

/// Zeros, handed out in pieces: for the holes of sparse files, and for content that nobody looks at.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl std::fmt::Debug for EntryContent<'_, '_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EntryContent").finish_non_exhaustive()
    }
}

impl EntryContent<'_, '_> {
    /// Returns where the content begins in the uncompressed archive, if nothing of it was read yet and it is there in one piece.
    pub fn start(&self) -> Option<u64> {
        let is_whole = self.position == 0 && self.fragment == self.size;
        is_whole.then(|| self.stream.offset())
    }

    /// Hands the content to `take`, piece by piece; holes of a sparse file as zeros. An error that a read met is returned first.
    pub fn copy<E: From<ArchiveError>>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        loop {
            let piece = self.peek()?;
            let length = piece.len();
            if length == 0 {
                return Ok(());
            }
            take(piece)?;
            self.consume(length);
        }
    }

    /// The next bytes of the content; none at its end.
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        loop {
            // The map was checked to cover all of the content.
            if self.fragment > 0 && self.stream.remaining() > 0 {
                let left = usize::try_from(self.fragment).unwrap_or(usize::MAX);
                let piece = self.stream.content()?.unwrap_or_default();
                return Ok(&piece[..piece.len().min(left)]);
            }
            self.fragment = 0;
            let next = self.fragments.as_slice().first();
            let end = next.map_or(self.size, |fragment| fragment.offset);
            let hole = end.saturating_sub(self.position);
            if hole > 0 {
                let length = usize::try_from(hole).unwrap_or(usize::MAX);
                return Ok(&ZEROS[..length.min(ZEROS.len())]);
            }
            match self.fragments.next() {
                Some(fragment) => self.fragment = fragment.length,
                None => return Ok(&[]),
            }
        }
    }

    fn consume(&mut self, count: usize) {
        if self.fragment > 0 {
            self.stream.consume_content(count);
            self.fragment -= count as u64;
        }
        self.position += count as u64;
    }
}

/// Once a read fails, [`EntryContent::copy`] says why.
impl Read for EntryContent<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Err(io::Error::other("the archive cannot be read"));
        }
        match self.peek() {
            Ok(piece) => {
                let length = piece.len().min(buffer.len());
                buffer[..length].copy_from_slice(&piece[..length]);
                self.consume(length);
                Ok(length)
            }
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the archive cannot be read"))
            }
        }
    }
}

/// Reads an archive of at most `max_size` uncompressed bytes and hands every entry to `visit`.
///
/// The source is read to the end of the archive, not to its own. To cancel, let it return an error.
pub fn read_entries<R: Read + Send, E: From<ArchiveError>>(
    source: R,
    max_size: u64,
    mut visit: impl FnMut(ArchiveEntry, &mut EntryContent<'_, '_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut input = Input::new(source, &|_| {});
    input.prefill()?;
    let compression = Compression::detect(input.buffered());
    let decoder = decoder(compression, &mut input)?;
    let mut bounded = Bounded { decoder, compression, size: 0, limit: max_size };
    if compression == Compression::None {
        let chunks = Inline { bounded, buffer: vec![0; CHUNK_SIZE], position: 0, filled: 0 };
        return walk(Box::new(chunks), max_size, &mut visit);
    }
    let (sending, received) = relay();
    scope(|scope| {
        Builder::new()
            .name("decompress".to_owned())
            .spawn_scoped(scope, move || sending.run(|buffer| bounded.fill(buffer)))
            .map_err(ArchiveError::Read)?;
        walk(Box::new(received), max_size, &mut visit)
    })
}

/// Reads an archive that is not compressed and lies in a file: content that `visit` does not look at is not read. Sparse files in it may
/// have `max_sparse` bytes in all.
pub fn read_entries_in_place<E: From<ArchiveError>>(
    file: &File,
    max_sparse: u64,
    mut visit: impl FnMut(ArchiveEntry, &mut EntryContent<'_, '_>) -> Result<(), E>,
) -> Result<(), E> {
    let chunks = InPlace::new(file).map_err(ArchiveError::Read)?;
    walk(Box::new(chunks), max_sparse, &mut visit)
}

fn walk<'b, E: From<ArchiveError>>(
    chunks: Box<dyn Chunks + Send + 'b>,
    max_size: u64,
    visit: &mut impl FnMut(ArchiveEntry, &mut EntryContent<'_, 'b>) -> Result<(), E>,
) -> Result<(), E> {
    let mut tar = TarReader::new(chunks);
    // A few bytes can say that they are a file of any size.
    let mut sparse = 0_u64;
    loop {
        tar.stream.raw.clear();
        if !tar.advance()? {
            return Ok(());
        }
        if matches!(tar.header.kind, Kind::Global | Kind::Label) {
            tar.stream.pass_over()?;
            continue;
        }
        let header = &tar.header;
        let mut path = Vec::new();
        clean(&header.name, &mut path);
        let kind = match header.kind {
            Kind::Regular => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink(header.link.clone()),
            Kind::HardLink => {
                let mut target = Vec::new();
                clean(&header.link, &mut target);
                EntryKind::HardLink(target)
            }
            _ => EntryKind::Other,
        };
        let mut size = tar.stream.remaining();
        let (mut fragment, mut fragments) = (size, Vec::new());
        if let Some(map) = tar.header.sparse.take() {
            size = u64::try_from(tar.header.size).unwrap_or(0);
            (fragment, fragments) = (0, map);
            sparse = sparse.saturating_add(size);
            if sparse > max_size {
                return Err(ArchiveError::TarTooLarge { limit: max_size }.into());
            }
        }
        let fragments = fragments.into_iter();
        let stream = &mut tar.stream;
        let (position, failed) = (0, None);
        let mut content = EntryContent { stream, fragments, fragment, position, size, failed };
        visit(ArchiveEntry { path, kind, size }, &mut content)?;
        content.stream.pass_over()?;
    }
}

impl Chunks for Box<dyn Chunks + Send + '_> {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        (**self).peek()
    }

    fn consume(&mut self, count: usize) {
        (**self).consume(count);
    }

    fn skip(&mut self, count: u64) -> Result<u64, ArchiveError> {
        (**self).skip(count)
    }
}

/// Uncompressed bytes up to a bound.
struct Bounded<'a> {
    decoder: Box<dyn Read + Send + 'a>,
    compression: Compression,
    size: u64,
    limit: u64,
}

impl Bounded<'_> {
    /// Reads once; 0 is the end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        loop {
            match self.decoder.read(buffer) {
                Ok(read) => {
                    self.size += read as u64;
                    if self.size > self.limit {
                        return Err(ArchiveError::TarTooLarge { limit: self.limit });
                    }
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) if self.compression == Compression::None => {
                    return Err(ArchiveError::Read(source));
                }
                Err(source) => {
                    return Err(ArchiveError::Decompress { compression: self.compression, source });
                }
            }
        }
    }
}

struct Inline<'a> {
    bounded: Bounded<'a>,
    buffer: Vec<u8>,
    position: usize,
    filled: usize,
}

impl Chunks for Inline<'_> {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        if self.position == self.filled {
            (self.position, self.filled) = (0, 0);
            self.filled = self.bounded.fill(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.position..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{TarEntry, TarWriter};

    fn tar() -> Vec<u8> {
        let mut tar = TarWriter::new(Vec::new());
        for (name, content) in [("./d/", &b""[..]), ("d/../file", b"content"), ("empty", b"")] {
            let entry = TarEntry { name, mode: 0o644, modified: 0, size: content.len() as u64 };
            tar.start(&entry).unwrap();
            tar.write_content(content).unwrap();
        }
        tar.finish().unwrap()
    }

    fn read(bytes: &[u8], limit: u64) -> Result<Vec<(String, String)>, ArchiveError> {
        let mut found = Vec::new();
        read_entries(bytes, limit, |entry, content| {
            let mut text = Vec::new();
            content.copy(|bytes| {
                text.extend_from_slice(bytes);
                Ok::<_, ArchiveError>(())
            })?;
            assert_eq!(entry.size, text.len() as u64);
            let text = String::from_utf8(text).unwrap();
            found.push((String::from_utf8(entry.path).unwrap(), text));
            Ok::<_, ArchiveError>(())
        })?;
        Ok(found)
    }

    #[test]
    fn every_compression_gives_the_same_entries() {
        let plain = tar();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let zstd = zstd::bulk::compress(&plain, 3).unwrap();
        let expected = [("d", ""), ("file", "content"), ("empty", "")];
        let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
        for bytes in [plain, gzip.finish().unwrap(), zstd] {
            assert_eq!(read(&bytes, u64::MAX).unwrap(), expected);
        }
    }

    /// Two threads pass buffers to and fro: whoever is faster, every byte arrives.
    #[test]
    fn nothing_is_lost_between_the_threads() {
        let content: Vec<u8> =
            (0..3 * CHUNK_SIZE).map(|place| u8::try_from(place % 251).unwrap()).collect();
        let mut tar = TarWriter::new(Vec::new());
        let entry = TarEntry { name: "file", mode: 0o644, modified: 0, size: content.len() as u64 };
        tar.start(&entry).unwrap();
        tar.write_content(&content).unwrap();
        let archive = zstd::bulk::compress(&tar.finish().unwrap(), 1).unwrap();
        for _ in 0..300 {
            let mut found = Vec::new();
            read_entries(&archive[..], u64::MAX, |_, part| {
                part.copy(|bytes| {
                    found.extend_from_slice(bytes);
                    Ok::<_, ArchiveError>(())
                })
            })
            .unwrap();
            assert!(found == content);
        }
    }

    #[test]
    fn what_is_cut_or_too_large_is_refused() {
        let plain = tar();
        let zstd = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
        let table: [(&[u8], u64, &str); 5] = [
            (&plain[..1030], 10_000, "the tar ends unexpectedly at offset 1030"),
            (b"garbage", 10_000, "the tar ends unexpectedly at offset 7"),
            (&[b'x'; 2000], 10_000, "invalid tar header at offset 512: wrong checksum"),
            (&plain, 1000, "the uncompressed layer is larger than the 1000 bytes allowed"),
            (&zstd[..20], 10_000, "failed to decompress the layer as zstd"),
        ];
        for (bytes, limit, expected) in table {
            assert_eq!(read(bytes, limit).unwrap_err().to_string(), expected);
        }
        assert_eq!(read(b"", 0).unwrap(), []);
    }

    #[test]
    fn names_that_lead_outside_stay_inside() {
        let mut outside = TarWriter::new(Vec::new());
        outside.start(&TarEntry { name: "a/../../x", mode: 0, modified: 0, size: 0 }).unwrap();
        let found = read(&outside.finish().unwrap(), 10_000).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "x");
    }

    #[test]
    fn a_visitor_may_stop() {
        #[derive(Debug)]
        struct Stop;
        impl From<ArchiveError> for Stop {
            fn from(_: ArchiveError) -> Self {
                Self
            }
        }
        for bytes in [tar(), zstd::bulk::compress(&tar(), 3).unwrap()] {
            let mut seen = 0;
            let result = read_entries(&*bytes, u64::MAX, |_, _| {
                seen += 1;
                Err(Stop)
            });
            assert!(matches!((result, seen), (Err(Stop), 1)));
        }
    }
}
