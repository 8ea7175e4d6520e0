//! The files of an archive, by their paths: in memory, where they lie in the archive, unpacked, or aside on the disk.
//!
//! Nothing of an archive becomes a path of ours: its names are keys of a map, and its links are followed in that map alone.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Write as _};
use std::sync::Arc;

use archive::{
    ArchiveEntry, ArchiveError, Compression, EntryContent, EntryKind, read_entries,
    read_entries_in_place,
};
use bytes::Bytes;
use spec::Digest;
use store::{DriverKind, Lease, Store};

use super::arrived::{self, Arrived};
use super::plain::{Place, PlainFile, not_taken_in};
use super::stored::{KnownLayers, StoredFile};
use crate::cancel::Cancelled;
use crate::error::BadArchive;
use crate::save::documents::blob_path;
use crate::space::MAX_TAR_SIZE;
use crate::{Engine, EngineError, Result};

/// The most entries: an archive has three for each layer, and nobody has 30,000 layers.
const MAX_ENTRIES: usize = 100_000;
/// The most bytes of all names together: those of [`MAX_ENTRIES`] blobs.
const MAX_NAMES: usize = 16 << 20;
/// The largest file that is kept in memory, and the most of all of them together: beyond, they go to the disk.
const MAX_SMALL: u64 = 64 << 10;
const MAX_MEMORY: u64 = 32 << 20;
/// The longest path that is looked for, as in Linux; entries have no longer names.
const MAX_PATH: usize = 4096;
/// The most links that lead to a file, as in Linux.
const MAX_LINKS: usize = 40;

#[derive(Clone, Debug)]
enum Node {
    File(StoredFile),
    Link(Vec<u8>),
}

impl Node {
    /// A file in memory.
    fn of(bytes: impl Into<Bytes>) -> Self {
        Self::File(StoredFile::Plain(PlainFile::Memory(bytes.into())))
    }
}

/// All files of an archive.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: HashMap<Vec<u8>, Node>,
    entries: usize,
    names: usize,
    memory: u64,
    /// The archive, if what is in it can be read where it lies.
    file: Option<Arc<File>>,
    known: KnownLayers,
    /// Nobody wants it any more.
    cancelled: Cancelled,
}

impl Tree {
    /// Reads an archive of any compression. Blocking.
    ///
    /// Once cancelled, this ends with an error, as does reading documents of the tree later.
    pub(super) fn read(
        engine: &Engine,
        lease: &Lease,
        input: impl Read + Send,
        cancelled: Cancelled,
    ) -> Result<Self> {
        let mut tree = Self { cancelled, ..Self::default() };
        let read = limit(engine.store()).map_err(Failure).and_then(|limit| {
            read_entries(input, limit, |entry, content| tree.add(engine, lease, entry, content))
        });
        read.map_err(|failure| failure.told(engine.store()))?;
        Ok(tree)
    }

    /// Reads an archive that is a file. What of it is neither small nor compressed is left where it lies. Blocking.
    pub(super) fn open(
        engine: &Engine,
        lease: &Lease,
        file: File,
        cancelled: Cancelled,
    ) -> Result<Self> {
        let file = Arc::new(file);
        let mut prefix = Vec::new();
        let begin = Place { file: Arc::clone(&file), start: 0, size: u64::MAX }.reader();
        let read = begin.take(Compression::PREFIX).read_to_end(&mut prefix);
        // One that is shorter is found out by who reads it.
        if read.is_ok() && Compression::detect(&prefix) != Compression::None {
            return Self::read(engine, lease, &*file, cancelled);
        }
        let mut tree = Self { cancelled, file: Some(Arc::clone(&file)), ..Self::default() };
        let read = limit(engine.store()).map_err(Failure).and_then(|limit| {
            read_entries_in_place(&file, limit, |entry, content| {
                tree.add(engine, lease, entry, content)
            })
        });
        read.map_err(|failure| failure.told(engine.store()))?;
        Ok(tree)
    }

    fn add(
        &mut self,
        engine: &Engine,
        lease: &Lease,
        entry: ArchiveEntry,
        content: &mut EntryContent<'_, '_>,
    ) -> Result<(), Failure> {
        self.cancelled.check().map_err(Failure)?;
        self.entries += 1;
        self.names += entry.path.len();
        if self.entries > MAX_ENTRIES || self.names > MAX_NAMES {
            let fault = BadArchive::TooManyEntries(MAX_ENTRIES);
            return Err(Failure(EngineError::BadArchive(fault)));
        }
        let node = match entry.kind {
            EntryKind::Directory | EntryKind::Other => return Ok(()),
            EntryKind::Symlink(target) => {
                self.names += target.len();
                Node::Link(target)
            }
            EntryKind::HardLink(target) => self.nodes.get(&target).cloned().ok_or_else(|| {
                let target = String::from_utf8_lossy(&target).into_owned();
                Failure(EngineError::BadArchive(BadArchive::HardLink(target)))
            })?,
            EntryKind::File if entry.size <= MAX_SMALL && self.memory < MAX_MEMORY => {
                let mut bytes = Vec::new();
                content.copy(|piece| {
                    bytes.extend_from_slice(piece);
                    Ok::<_, Failure>(())
                })?;
                self.memory += bytes.len() as u64;
                Node::of(bytes)
            }
            EntryKind::File => Node::File(self.large(engine, lease, &entry, content)?),
        };
        self.nodes.insert(entry.path, node);
        Ok(())
    }

    /// Takes a file that is not kept in memory: where it lies if that can be, in the archive or the store; else unpacked if it is a
    /// layer; else aside.
    fn large(
        &mut self,
        engine: &Engine,
        lease: &Lease,
        entry: &ArchiveEntry,
        content: &mut EntryContent<'_, '_>,
    ) -> Result<StoredFile, Failure> {
        if let (Some(file), Some(start)) = (&self.file, content.start()) {
            let file = Arc::clone(file);
            let place = Place { file, start, size: entry.size };
            return Ok(StoredFile::Plain(PlainFile::Place(place)));
        }
        let store = engine.store();
        let mut prefix = Vec::new();
        // Why it fails is told when it is read on.
        let _ = content.take(arrived::PREFIX).read_to_end(&mut prefix);
        let known = self.known.find((store, lease), &entry.path, entry.size, &prefix);
        if let Some(file) = known.map_err(Failure)? {
            content.copy(|_| self.cancelled.check().map_err(Failure))?;
            return Ok(file);
        }
        if store.driver() == DriverKind::Overlay2
            && arrived::is_unpacked_at_once(&entry.path, &prefix)
            && let Ok(_permit) = engine.0.arrivals.try_acquire()
        {
            let start = (&*prefix, &mut *content);
            let arrived = Arrived::unpack(store, lease, start, entry.size, &self.cancelled);
            let arrived = arrived.map_err(Failure)?;
            // What no unpacking has read; or why it ended.
            content.copy(|_| self.cancelled.check().map_err(Failure))?;
            engine.flush_soon();
            return Ok(StoredFile::Layer(Arc::new(arrived)));
        }
        let mut staged = store.staged_file(lease).map_err(|error| Failure(error.into()))?;
        let mut write = |piece: &[u8]| {
            // A few bytes of a bomb keep one busy for long.
            self.cancelled.check().map_err(Failure)?;
            let written = staged.write_all(piece);
            written.map_err(|error| Failure(written_badly(&entry.path, error)))
        };
        write(&prefix)?;
        content.copy(write)?;
        Ok(StoredFile::Plain(PlainFile::Disk(staged.finish())))
    }

    /// Finds a file by its path, through links.
    pub(super) fn find(&self, path: &str) -> Option<&StoredFile> {
        if path.len() > MAX_PATH {
            return None;
        }
        let mut left: VecDeque<Vec<u8>> = parts(path.as_bytes()).collect();
        let mut here: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == b".." {
                // The root's parent is the root.
                here.pop();
                continue;
            }
            here.push(part);
            let joined = here.join(&b'/');
            if joined.len() > MAX_PATH {
                return None;
            }
            if let Some(Node::Link(target)) = self.nodes.get(&joined) {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                here.pop();
                if target.starts_with(b"/") {
                    here.clear();
                }
                for part in parts(target).collect::<Vec<_>>().into_iter().rev() {
                    left.push_front(part);
                }
            }
        }
        match self.nodes.get(&here.join(&b'/')) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Finds a file by its path, or says as dockerd that it is missing.
    pub(super) fn require(&self, path: &str) -> Result<&StoredFile> {
        self.find(path).ok_or_else(|| {
            EngineError::BadArchive(if path.len() > MAX_PATH {
                let start: String = path.chars().take(64).collect();
                BadArchive::LongPath(start)
            } else {
                BadArchive::NoFile(path.to_owned())
            })
        })
    }

    /// Finds a blob of an image layout, if its bytes can be had.
    pub(super) fn blob(&self, digest: &Digest) -> Option<&StoredFile> {
        let file = self.find(&blob_path(digest))?;
        file.arrived().is_none_or(|arrived| arrived.is_plain()).then_some(file)
    }

    /// Reads a blob of at most `max` bytes and checks it.
    pub(super) fn document(&self, digest: &Digest, max: u64) -> Result<Option<Bytes>> {
        self.cancelled.check()?;
        let Some(file) = self.blob(digest) else { return Ok(None) };
        let path = blob_path(digest);
        let bytes = file.read(&path, max)?;
        if digest.matches(&bytes) {
            return Ok(Some(bytes));
        }
        Err(EngineError::BadArchive(BadArchive::Content(path)))
    }
}

#[cfg(test)]
impl Tree {
    /// Makes a tree of files in memory.
    pub(super) fn of(files: Vec<(String, Vec<u8>)>) -> Self {
        let nodes = files.into_iter().map(|(path, bytes)| (path.into_bytes(), Node::of(bytes)));
        Self { nodes: nodes.collect(), ..Self::default() }
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}

fn written_badly(path: &[u8], error: std::io::Error) -> EngineError {
    let path = String::from_utf8_lossy(path).into_owned().into();
    EngineError::ArchiveRead(ArchiveError::Io { action: "store", path, source: error })
}

/// Returns the most bytes that an archive may put on the disk.
fn limit(store: &Store) -> Result<u64> {
    let room = store.free_space()?.saturating_add(store.partial_downloads()?);
    Ok(room.min(MAX_TAR_SIZE))
}

/// An error on the way through the reader of archives.
#[derive(Debug)]
struct Failure(EngineError);

impl Failure {
    /// Returns the error, that of a full disk in its own words.
    fn told(self, store: &Store) -> EngineError {
        match self.0 {
            EngineError::ArchiveRead(cause) => not_taken_in(store, cause),
            error => error,
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self(match error {
            // In Go's words.
            ArchiveError::Truncated { .. } => EngineError::BadArchive(BadArchive::CutOff),
            error => EngineError::ArchiveRead(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn tree(nodes: &[(&str, &str)]) -> Tree {
        let node = |text: &str| match text.strip_prefix("-> ") {
            Some(target) => Node::Link(target.as_bytes().to_vec()),
            None => Node::of(text.to_owned()),
        };
        let nodes = nodes.iter().map(|(path, text)| (path.as_bytes().to_vec(), node(text)));
        Tree { nodes: nodes.collect(), ..Tree::default() }
    }

    /// Names, contents and links of an archive's files.
    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = archive::TarWriter::new(Vec::new());
        for (name, content) in files {
            let size = content.len() as u64;
            tar.start(&archive::TarEntry { name, mode: 0o644, modified: 0, size }).unwrap();
            tar.write_content(content).unwrap();
        }
        tar.finish().unwrap()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn what_is_large_stays_in_a_file_where_it_lies_and_of_one_name_the_last_counts() {
        let fixture = Fixture::new(&[]);
        let store = fixture.store();
        let lease = store.lease().unwrap();
        let large = vec![7; usize::try_from(MAX_SMALL).unwrap() + 1];
        let other = vec![8; large.len()];
        let plain = archive(&[("layer", &large), ("list", b"[]"), ("layer", &other)]);
        let staged = || std::fs::read_dir(store.root().join("longshore/staging")).unwrap().count();
        for (bytes, is_in_place) in [
            (plain.clone(), true),
            (archive::compress_gzip(&plain[..], Vec::new(), 1, 1).unwrap(), false),
        ] {
            let cancelled = Cancelled::default();
            let tree =
                Tree::open(&fixture.engine, &lease, file(&bytes), cancelled.clone()).unwrap();
            let layer = tree.find("layer").unwrap();
            assert_eq!((layer.bytes_to_copy() > 0, staged() == 0), (is_in_place, is_in_place));
            assert!(layer.read("layer", 1 << 20).unwrap() == other);
            assert_eq!(tree.find("list").unwrap().read("list", 9).unwrap(), "[]");
            let streamed = Tree::read(&fixture.engine, &lease, &bytes[..], cancelled).unwrap();
            assert_eq!(streamed.find("layer").unwrap().bytes_to_copy(), 0);
        }
        assert_eq!(staged(), 0, "it goes with the tree");
    }

    /// Whoever reads the place later would find less, or what somebody put there.
    #[test]
    fn content_that_a_file_has_not_all_of_is_refused() {
        let fixture = Fixture::new(&[]);
        let lease = fixture.store().lease().unwrap();
        let content = vec![7; 100_000];
        let whole = archive(&[("layer", &content)]);
        for length in [512 + 99_999, 700, 511, 1] {
            let file = file(&whole[..length]);
            let read = Tree::open(&fixture.engine, &lease, file, Cancelled::default());
            assert!(
                matches!(read, Err(EngineError::BadArchive(BadArchive::CutOff))),
                "{length}: {read:?}"
            );
        }
    }

    #[test]
    fn links_are_followed_within_the_archive() {
        let tree = tree(&[
            ("a/layer.tar", "layer"),
            ("b/layer.tar", "-> ../a/layer.tar"),
            ("c", "-> b"),
            ("absolute", "-> /a/layer.tar"),
            ("outside", "-> ../../../../etc/passwd"),
            ("etc/passwd", "ours"),
            ("loop", "-> loop"),
            ("ping", "-> pong"),
            ("pong", "-> ping/x"),
        ]);
        for (path, expected) in [
            ("a/layer.tar", Some("layer")),
            ("./a//layer.tar", Some("layer")),
            ("b/layer.tar", Some("layer")),
            ("c/layer.tar", Some("layer")),
            ("absolute", Some("layer")),
            ("outside", Some("ours")),
            ("../etc/passwd", Some("ours")),
            ("a/layer.tar/..", None),
            ("a", None),
            ("", None),
            ("loop", None),
            ("ping", None),
            ("/proc/self/environ", None),
        ] {
            let found = tree.find(path).map(|file| file.read(path, 100).unwrap());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }
}
