//! Content that a later entry of the same layer takes the place of.
//!
//! The tar needs it and the layer's directory no longer has it: before it is removed, it is copied to a file without a name, from
//! which it gets into the tar-split when the layer is complete.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};

use crate::ArchiveError;
use crate::error::{failed, path_buf};
use crate::resolve::append;
use crate::seen::Seen;

use super::{Extractor, NO_FOLLOW, Place};

/// Content that is read at once.
const BUFFER_SIZE: usize = 256 << 10;

/// The content that the tar-split counts on, and that of it which was put aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// The paths, without symlinks, whose content the tar-split counts on.
    expected: Seen,
    replaced: Replaced,
}

/// The places of content that is no longer in the layer's directory.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// Set if entries of the tar-split have other names than those of the tar.
    renamed: bool,
    file: Option<File>,
    end: u64,
    /// By its path, the earliest first.
    contents: HashMap<Vec<u8>, VecDeque<Piece>>,
}

/// A piece of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    offset: u64,
    length: u64,
}

impl Aside {
    /// Notes that the tar-split counts on the content at `path`, whether or not that is the entry's name.
    pub(super) fn expect(&mut self, path: &[u8], renamed: bool) {
        self.expected.insert(path);
        self.replaced.renamed |= renamed;
    }

    pub(super) fn finish(self) -> Replaced {
        self.replaced
    }
}

impl Replaced {
    /// Says whether the tar-split may stay as it was drafted.
    pub(crate) fn is_nothing(&self) -> bool {
        self.contents.is_empty() && !self.renamed
    }

    /// Takes the earliest content at a path.
    pub(crate) fn take(&mut self, path: &[u8]) -> Option<Piece> {
        self.contents.get_mut(path)?.pop_front()
    }

    /// Hands out a piece, in parts.
    pub(crate) fn read(
        &mut self,
        piece: Piece,
        mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(piece.offset)).map_err(ArchiveError::SplitRead)?;
        let mut rest = file.take(piece.length);
        let mut buffer = vec![0; BUFFER_SIZE];
        loop {
            match rest.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => take(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::SplitRead(error)),
            }
        }
    }

    fn add(
        &mut self,
        root: BorrowedFd<'_>,
        mut file: &File,
        path: &[u8],
    ) -> Result<(), ArchiveError> {
        let kept = match &mut self.file {
            Some(kept) => kept,
            none => none.insert(anonymous_file(root)?),
        };
        let failed =
            |source| ArchiveError::Io { action: "put aside", path: path_buf(path), source };
        kept.seek(SeekFrom::Start(self.end)).map_err(failed)?;
        let length = io::copy(&mut file, kept).map_err(failed)?;
        let piece = Piece { offset: self.end, length };
        self.end += length;
        self.contents.entry(path.to_vec()).or_default().push_back(piece);
        Ok(())
    }
}

impl Extractor<'_> {
    /// Puts the content aside that the tar-split counts on and that is removed next.
    pub(super) fn put_aside(&mut self, place: &Place<'_>) -> Result<(), ArchiveError> {
        if self.aside.expected.is_empty() {
            return Ok(());
        }
        let stat = statat(place, place.name, NO_FOLLOW).map_err(place.failed("look up"))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.put_file_aside(&place.directory, place.name, &place.path),
            FileType::Directory => self.put_directory_aside(&place.path),
            _ => Ok(()),
        }
    }

    fn put_directory_aside(&mut self, path: &[u8]) -> Result<(), ArchiveError> {
        let mut directories = vec![path.to_vec()];
        while let Some(path) = directories.pop() {
            let opened = self.directories.open_to_write(&path)?;
            let listed = Dir::read_from(&opened).map_err(failed("list", &path))?;
            for entry in listed {
                let entry = entry.map_err(failed("list", &path))?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                let mut child = path.clone();
                append(&mut child, name.to_bytes())?;
                let stat = statat(&opened, name, NO_FOLLOW).map_err(failed("look up", &child))?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => {
                        self.put_file_aside(&opened, name.to_bytes(), &child)?;
                    }
                    FileType::Directory => directories.push(child),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn put_file_aside(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), ArchiveError> {
        if !self.aside.expected.remove(path) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::empty());
        let file = File::from(file.map_err(failed("put aside", path))?);
        self.aside.replaced.add(self.directories.root(), &file, path)
    }
}

/// Makes a file without a name in the layer's directory.
pub(super) fn anonymous_file(root: BorrowedFd<'_>) -> Result<File, ArchiveError> {
    let name = format!(".longshore-{}-aside", std::process::id());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(root, &*name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(failed("create", name.as_bytes()))?;
    unlinkat(root, &*name, AtFlags::empty()).map_err(failed("remove", name.as_bytes()))?;
    Ok(File::from(file))
}
