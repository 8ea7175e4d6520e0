//! The tar of a layer, put together from its tar-split and its directory.

use std::cell::Cell;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use spec::{DiffId, Digest};

use crate::ArchiveError;
use crate::apply::Directories;
use crate::path::{clean, split};
use crate::split::{Checksum, SplitEntry, SplitReader};
use crate::tar::Chunks;

use super::damages::Damages;

/// File content that is read at once.
const BUFFER_SIZE: usize = 256 << 10;

/// The tar, in chunks. Content that is missing is zeros, so that what follows is where it was.
pub(super) struct Rebuilt<'a, R: Read> {
    entries: SplitReader<R>,
    directories: Directories,
    damages: &'a mut Damages,
    hasher: Sha256,
    buffer: Vec<u8>,
    position: usize,
    file: Option<Content>,
    read: Rc<Cell<u64>>,
}

/// The content that comes next.
struct Content {
    /// The cleaned path.
    path: Vec<u8>,
    /// `None` once something is wrong with it.
    file: Option<OwnedFd>,
    left: u64,
    checksum: Checksum,
    expected: [u8; 8],
}

impl<'a, R: Read> Rebuilt<'a, R> {
    pub(super) fn new(
        tar_split_gz: R,
        root: &Path,
        damages: &'a mut Damages,
    ) -> Result<Self, ArchiveError> {
        Ok(Self {
            entries: SplitReader::new(tar_split_gz),
            directories: Directories::open(root)?,
            damages,
            hasher: Sha256::new(),
            buffer: Vec::with_capacity(BUFFER_SIZE),
            position: 0,
            file: None,
            read: Rc::default(),
        })
    }

    /// Returns the number of files that were read from the directory, or should have been, as it grows.
    pub(super) fn read(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.read)
    }

    /// Returns the digest of all that was read.
    pub(super) fn finish(self) -> DiffId {
        DiffId::new(Digest::from_sha256(self.hasher.finalize().into()))
    }

    /// Fills the empty buffer; leaves it empty at the end.
    fn refill(&mut self) -> Result<(), ArchiveError> {
        self.buffer.clear();
        self.position = 0;
        while self.buffer.is_empty() {
            if let Some(content) = &mut self.file {
                if content.left > 0 {
                    content.fill(&mut self.buffer, self.damages);
                    break;
                }
                content.finish(self.damages);
                self.file = None;
            }
            match self.entries.advance()? {
                None => break,
                Some(SplitEntry::Segment(bytes)) => self.buffer.extend_from_slice(bytes),
                Some(SplitEntry::File { name, size, checksum }) => {
                    self.read.update(|read| read + 1);
                    let mut path = Vec::new();
                    clean(&name, &mut path);
                    let file = open(&mut self.directories, &path, size);
                    let file = file.map_err(|problem| self.damages.add(&path, problem)).ok();
                    let expected = checksum;
                    let checksum = Checksum::new();
                    self.file = Some(Content { path, file, left: size, checksum, expected });
                }
            }
        }
        self.hasher.update(&self.buffer);
        Ok(())
    }
}

impl<R: Read> Chunks for &mut Rebuilt<'_, R> {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        if self.position == self.buffer.len() {
            self.refill()?;
        }
        Ok(&self.buffer[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Content {
    fn fill(&mut self, buffer: &mut Vec<u8>, damages: &mut Damages) {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(BUFFER_SIZE);
        buffer.resize(length, 0);
        while let Some(file) = &self.file {
            match rustix::io::read(file, &mut buffer[..length]) {
                Err(Errno::INTR) => {}
                Ok(0) => self.fail("its size differs".to_owned(), damages),
                Ok(read) => {
                    self.checksum.update(&buffer[..read]);
                    buffer.truncate(read);
                    break;
                }
                Err(errno) => self.fail(format!("it cannot be read: {errno}"), damages),
            }
        }
        self.left -= buffer.len() as u64;
    }

    fn fail(&mut self, problem: String, damages: &mut Damages) {
        damages.add(&self.path, problem);
        self.file = None;
    }

    fn finish(&mut self, damages: &mut Damages) {
        if self.file.is_some() && self.checksum.finish() != self.expected {
            self.fail("its content differs".to_owned(), damages);
        }
    }
}

/// Opens a file of the layer; says what is wrong with it if that cannot be.
fn open(directories: &mut Directories, path: &[u8], size: u64) -> Result<OwnedFd, String> {
    let (parent, name) = split(path);
    let gone = || "it is gone".to_owned();
    let parent = directories.find(parent).ok().flatten().ok_or_else(gone)?;
    // Not blocking, should a FIFO have taken its place.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&parent, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => gone(),
        Errno::LOOP => "it is a symlink instead of a file".to_owned(),
        _ => format!("it cannot be opened: {errno}"),
    })?;
    let stat = fstat(&file).map_err(|errno| format!("it cannot be looked at: {errno}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(super::compare::wrong_kind(stat.st_mode, FileType::RegularFile));
    }
    if u64::try_from(stat.st_size) != Ok(size) {
        return Err(super::compare::wrong_size(stat.st_size, size));
    }
    Ok(file)
}
