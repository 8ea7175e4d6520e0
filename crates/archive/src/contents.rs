//! The contents of a layer, as a list of files with what is said of each.
//!
//! Of an unpacked layer the tar-split tells all but the content of files, and no file is read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::ArchiveError;
use crate::apply::{Directories, unsupported};
use crate::attributes::is_private;
use crate::entries::ZEROS;
use crate::rebuild::{BUFFER_SIZE, open_regular, unreadable};
use crate::source::Input;
use crate::split::{SplitEntry, SplitReader, SplitWriter};
use crate::tar::{Chunks, Header, Kind};
use crate::tree::{Node, Tree, is_whiteout};
use crate::unpack::Source;
use crate::walk::{Content, Repeats, Visitor, walk};

/// The content of an entry, by its SHA-256.
pub type ContentHash = [u8; 32];

/// The files of a layer by their paths from its root, a directory before what is in it.
pub type LayerFiles = Vec<(Vec<u8>, Arc<LayerFile>)>;

/// A file of a layer. Hard links to one file share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFile {
    /// The kind, with what only files of that kind have.
    pub kind: FileKind,
    /// Permissions, setuid, setgid, sticky. `None` where the layer says nothing: of a directory that it leaves out, and of
    /// symlinks.
    pub mode: Option<u32>,
    /// User and group. `None` of a directory that the layer leaves out.
    pub owner: Option<(u32, u32)>,
    /// Seconds since 1970 and nanoseconds after that. `None` of a directory that the layer leaves out.
    pub modified: Option<(i64, u32)>,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The kind of a file of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The hash of its content, if that was wanted.
        hash: Option<ContentHash>,
    },
    /// A folder for files.
    Directory {
        /// Set if it hides what the layers below have in it.
        opaque: bool,
    },
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// A character device, with its numbers.
    Character(i64, i64),
    /// A block device, with its numbers.
    Block(i64, i64),
    /// A named pipe.
    Fifo,
    /// The mark that the layers below have no such file any more.
    Whiteout,
}

/// A bound of the memory that the files of layers may take.
#[derive(Debug)]
pub struct Room {
    left: usize,
    limit: usize,
}

/// The bytes that a file costs beside its path, link and attributes.
const COST: usize = 256;

impl Room {
    /// Room of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { left: limit, limit }
    }

    /// Takes some of it.
    pub fn take(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        let left = self.left.checked_sub(bytes.saturating_add(COST));
        self.left = left.ok_or(ArchiveError::TooManyFiles { limit: self.limit })?;
        Ok(())
    }
}

/// Lists the files of an unpacked layer by its tar-split.
pub fn list_split(tar_split_gz: impl Read, room: &mut Room) -> Result<LayerFiles, ArchiveError> {
    let entries = SplitReader::new(tar_split_gz);
    let outline = Outline { entries, buffer: Vec::new(), position: 0, zeros: 0 };
    let mut list = List::new(room, None);
    walk(outline, SplitWriter::disabled(), &mut list, Repeats::Taken)?;
    list.finish()
}

/// Lists the files of a compressed layer of at most `max_tar_size` bytes, with the hashes of all files of these `sizes`.
pub fn list_compressed<R: Read + Send>(
    compressed: R,
    max_tar_size: u64,
    sizes: &BTreeSet<u64>,
    room: &mut Room,
) -> Result<LayerFiles, ArchiveError> {
    let input = Input::new(compressed, &|_| {});
    let limit = Some(max_tar_size);
    let source = Source { input, compression: None, limit, repeats: Repeats::Taken };
    let mut list = List::new(room, Some(sizes));
    source.run(SplitWriter::disabled(), &mut list)?;
    list.finish()
}

/// Hashes the regular file `path` of the layer that is unpacked in `root`. `wanted` is asked before each piece.
pub fn hash_file(
    root: &Path,
    path: &[u8],
    mut wanted: impl FnMut() -> bool,
) -> Result<ContentHash, ArchiveError> {
    let (file, _) = open_regular(&mut Directories::open(root)?, path, path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        if !wanted() {
            return Err(ArchiveError::Read(std::io::Error::other("cancelled")));
        }
        match rustix::io::read(&file, &mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(unreadable(path, errno)),
        }
    }
}

struct List<'a> {
    tree: Tree<Arc<LayerFile>>,
    room: &'a mut Room,
    sizes: Option<&'a BTreeSet<u64>>,
}

impl<'a> List<'a> {
    fn new(room: &'a mut Room, sizes: Option<&'a BTreeSet<u64>>) -> Self {
        Self { tree: Tree::new(true), room, sizes }
    }

    /// Returns what is there in the end, by its path without symlinks.
    fn finish(self) -> Result<LayerFiles, ArchiveError> {
        let mut files = Vec::new();
        for (path, file) in self.tree.each() {
            self.room.take(path.len())?;
            files.push((path, Arc::clone(file)));
        }
        Ok(files)
    }
}

impl Visitor for List<'_> {
    fn entry<C: Chunks, W: std::io::Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        if path.is_empty() {
            return Ok(());
        }
        let attributes: usize =
            header.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.room.take(path.len() + header.link.len() + attributes)?;
        let kind = match header.kind {
            _ if is_whiteout(path) => FileKind::Whiteout,
            Kind::Regular => {
                let size = u64::try_from(header.size).unwrap_or(0);
                let is_wanted = self.sizes.is_some_and(|sizes| sizes.contains(&size));
                FileKind::File {
                    size,
                    hash: if is_wanted { Some(hash(header, content)?) } else { None },
                }
            }
            Kind::Directory => FileKind::Directory { opaque: false },
            Kind::Symlink => FileKind::Symlink(header.link.clone()),
            // To overlayfs it is one.
            Kind::Character if (header.major, header.minor) == (0, 0) => FileKind::Whiteout,
            Kind::Character => FileKind::Character(header.major, header.minor),
            Kind::Block => FileKind::Block(header.major, header.minor),
            // A hard link only says something of another entry's file.
            Kind::Fifo | Kind::HardLink => FileKind::Fifo,
            other => return Err(unsupported(header, other)),
        };
        self.tree.enter(path, header, Arc::new(LayerFile::new(kind, header)))
    }
}

/// Hashes the content of a regular file; the holes of a sparse one are zeros.
fn hash<C: Chunks, W: std::io::Write>(
    header: &Header,
    content: &mut Content<'_, C, W>,
) -> Result<ContentHash, ArchiveError> {
    let mut hasher = Sha256::new();
    let Some(fragments) = &header.sparse else {
        content.copy(|bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        return Ok(hasher.finalize().into());
    };
    let (mut fragments, mut position) = (fragments.iter(), 0);
    let mut left = 0;
    content.copy(|mut bytes| {
        while !bytes.is_empty() {
            if left == 0 {
                let Some(next) = fragments.next() else { break };
                zeros(&mut hasher, next.offset.saturating_sub(position));
                (position, left) = (next.offset, next.length);
                continue;
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            hasher.update(&bytes[..length]);
            (position, left) = (position + length as u64, left - length as u64);
            bytes = &bytes[length..];
        }
        Ok(())
    })?;
    let size = u64::try_from(header.size).unwrap_or(0);
    zeros(&mut hasher, size.saturating_sub(position));
    Ok(hasher.finalize().into())
}

fn zeros(hasher: &mut Sha256, mut count: u64) {
    while count > 0 {
        let length = count.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..usize::try_from(length).unwrap_or(ZEROS.len())]);
        count -= length;
    }
}

impl LayerFile {
    fn new(kind: FileKind, header: &Header) -> Self {
        let is_symlink = matches!(kind, FileKind::Symlink(_));
        let xattrs = header.xattrs.iter().filter(|(name, _)| !is_private(name)).cloned();
        Self {
            mode: (!is_symlink).then_some(header.mode),
            owner: Some((header.uid, header.gid)),
            modified: Some((header.modified.seconds, header.modified.nanoseconds)),
            xattrs: xattrs.collect(),
            kind,
        }
    }

    /// The bytes of its content.
    pub fn size(&self) -> u64 {
        match self.kind {
            FileKind::File { size, .. } => size,
            _ => 0,
        }
    }
}

impl Node for Arc<LayerFile> {
    fn implied() -> Self {
        Self::new(LayerFile {
            kind: FileKind::Directory { opaque: false },
            mode: None,
            owner: None,
            modified: None,
            xattrs: BTreeMap::new(),
        })
    }

    fn size(&self) -> u64 {
        LayerFile::size(self)
    }

    fn merge(&mut self, other: Self) {
        let this = Arc::make_mut(self);
        let (was_opaque, mut xattrs) = (this.is_opaque(), std::mem::take(&mut this.xattrs));
        xattrs.extend(other.xattrs.clone());
        *this = LayerFile { xattrs, ..LayerFile::clone(&other) };
        if was_opaque {
            self.mark_opaque();
        }
    }

    fn share(&mut self, link: &Header) {
        let this = Arc::make_mut(self);
        let linked = LayerFile::new(this.kind.clone(), link);
        this.owner = linked.owner;
        this.xattrs.extend(linked.xattrs);
        if !matches!(this.kind, FileKind::Symlink(_)) {
            (this.mode, this.modified) = (linked.mode, linked.modified);
        }
    }

    fn mark_opaque(&mut self) {
        if let FileKind::Directory { opaque } = &mut Arc::make_mut(self).kind {
            *opaque = true;
        }
    }
}

impl LayerFile {
    /// Says whether it is a directory that hides what the layers below have in it.
    pub fn is_opaque(&self) -> bool {
        matches!(self.kind, FileKind::Directory { opaque: true })
    }
}

/// The tar of a tar-split, with zeros for the content of files.
struct Outline<R: Read> {
    entries: SplitReader<R>,
    buffer: Vec<u8>,
    position: usize,
    zeros: u64,
}

impl<R: Read> Chunks for Outline<R> {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        while self.zeros == 0 && self.position == self.buffer.len() {
            match self.entries.advance()? {
                None => return Ok(&[]),
                Some(SplitEntry::Segment(bytes)) => {
                    self.buffer.clear();
                    self.buffer.extend_from_slice(bytes);
                    self.position = 0;
                }
                Some(SplitEntry::File { size, .. }) => self.zeros = size,
            }
        }
        if self.position < self.buffer.len() {
            return Ok(&self.buffer[self.position..]);
        }
        let length = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(ZEROS.len());
        Ok(&ZEROS[..length])
    }

    fn consume(&mut self, count: usize) {
        if self.position < self.buffer.len() {
            self.position += count;
        } else {
            self.zeros = self.zeros.saturating_sub(count as u64);
        }
    }
}
