//! The files of an archive, by their paths, on the disk or in memory.
//!
//! Nothing of an archive becomes a path of ours: its names are keys of a map, and its links are followed in that map alone.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Cursor, Read, Write as _};

use archive::{ArchiveEntry, ArchiveError, EntryContent, EntryKind, read_entries};
use bytes::Bytes;
use spec::{Algorithm, Digest};
use store::{Lease, StagedFile, StagedFileReader, Store, VerifiedBlob};

use crate::cancel::Cancelled;
use crate::error::BadArchive;
use crate::receive::Input;
use crate::save::documents::blob_path;
use crate::space::MAX_TAR_SIZE;
use crate::{EngineError, Result, space};

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

/// A file of an archive.
#[derive(Clone, Debug)]
pub(super) enum StoredFile {
    Memory(Bytes),
    Disk(StagedFile),
}

/// A file of an archive that is being read.
#[derive(Debug)]
pub(super) enum StoredReader {
    Memory(Cursor<Bytes>, Algorithm),
    Plain(File),
    Hashed(StagedFileReader),
}

#[derive(Clone, Debug)]
enum Node {
    File(StoredFile),
    Link(Vec<u8>),
}

/// All files of an archive.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: HashMap<Vec<u8>, Node>,
    entries: usize,
    names: usize,
    memory: u64,
    /// Nobody wants it any more.
    cancelled: Cancelled,
}

impl StoredFile {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(file) => file.size(),
        }
    }

    /// Opens the file; with an algorithm to hash it by, reading it to its end makes a blob of it.
    pub(super) fn reader(&self, algorithm: Option<Algorithm>) -> Result<StoredReader> {
        Ok(match (self, algorithm) {
            (Self::Memory(bytes), algorithm) => StoredReader::Memory(
                Cursor::new(bytes.clone()),
                algorithm.unwrap_or(Algorithm::Sha256),
            ),
            (Self::Disk(file), Some(algorithm)) => StoredReader::Hashed(file.reader(algorithm)?),
            (Self::Disk(file), None) => StoredReader::Plain(file.open()?),
        })
    }

    /// Reads a file of at most `max` bytes.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Bytes> {
        if self.size() > max {
            let (name, size) = (name.to_owned(), self.size());
            return Err(EngineError::BadArchive(BadArchive::FileTooLarge { name, size, max }));
        }
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::Disk(file) => {
                let mut bytes = Vec::new();
                let read = file.open()?.take(max).read_to_end(&mut bytes);
                read.map_err(|error| EngineError::ArchiveRead(ArchiveError::Read(error)))?;
                Ok(bytes.into())
            }
        }
    }
}

impl StoredReader {
    /// Makes a blob of what was read to its end, if it was hashed.
    pub(super) fn finish(self) -> Result<Option<VerifiedBlob>> {
        Ok(match self {
            Self::Memory(bytes, algorithm) => {
                Some(VerifiedBlob::hash(bytes.into_inner(), algorithm))
            }
            Self::Plain(_) => None,
            Self::Hashed(reader) => Some(reader.verify()?),
        })
    }
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes, _) => bytes.read(buffer),
            Self::Plain(file) => file.read(buffer),
            Self::Hashed(reader) => reader.read(buffer),
        }
    }
}

impl Tree {
    /// Reads an archive of any compression. Blocking.
    ///
    /// Once cancelled, this ends with an error, as does reading documents of the tree later.
    pub(super) fn read(
        store: &Store,
        lease: &Lease,
        input: Input,
        cancelled: Cancelled,
    ) -> Result<Self> {
        let mut tree = Self { cancelled, ..Self::default() };
        let limit = store.free_space()?.saturating_add(store.partial_downloads()?);
        let limit = limit.min(MAX_TAR_SIZE);
        let read =
            read_entries(input, limit, |entry, content| tree.add(store, lease, entry, content));
        read.map_err(|Failure(error)| match &error {
            EngineError::ArchiveRead(cause) => {
                let what = || "failed to store the archive".to_owned();
                space::no_space(what, store.root(), cause).unwrap_or(error)
            }
            _ => error,
        })?;
        Ok(tree)
    }

    fn add(
        &mut self,
        store: &Store,
        lease: &Lease,
        entry: ArchiveEntry,
        content: &mut EntryContent<'_, '_>,
    ) -> Result<(), Failure> {
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
                Node::File(StoredFile::Memory(bytes.into()))
            }
            EntryKind::File => {
                let mut staged = store.staged_file(lease).map_err(|error| Failure(error.into()))?;
                content.copy(|piece| {
                    // A few bytes of a bomb keep one busy for long.
                    self.cancelled.check().map_err(Failure)?;
                    let written = staged.write_all(piece);
                    written.map_err(|error| Failure(written_badly(&entry.path, error)))
                })?;
                Node::File(StoredFile::Disk(staged.finish()))
            }
        };
        self.nodes.insert(entry.path, node);
        Ok(())
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

    /// Finds a blob of an image layout.
    pub(super) fn blob(&self, digest: &Digest) -> Option<&StoredFile> {
        self.find(&blob_path(digest))
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
        let node = |bytes: Vec<u8>| Node::File(StoredFile::Memory(bytes.into()));
        let nodes = files.into_iter().map(|(path, bytes)| (path.into_bytes(), node(bytes)));
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

/// An error on the way through the reader of archives.
#[derive(Debug)]
struct Failure(EngineError);

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

    fn tree(nodes: &[(&str, &str)]) -> Tree {
        let node = |text: &str| match text.strip_prefix("-> ") {
            Some(target) => Node::Link(target.as_bytes().to_vec()),
            None => Node::File(StoredFile::Memory(Bytes::from(text.to_owned()))),
        };
        let nodes = nodes.iter().map(|(path, text)| (path.as_bytes().to_vec(), node(text)));
        Tree { nodes: nodes.collect(), ..Tree::default() }
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
