//! A layer's tar from its directory and its tar-split.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use spec::{DiffId, Digest};

use crate::apply::Directories;
use crate::codec::decoder;
use crate::error::printable;
use crate::path::{clean, split};
use crate::source::Input;
use crate::split::{Checksum, SplitEntry, SplitReader};
use crate::{ArchiveError, Compression};

/// File content that is read at once.
pub(crate) const BUFFER_SIZE: usize = 256 << 10;

/// Writes the exact tar of the layer that was unpacked into `root`, and returns its diff ID.
///
/// `tar_split_gz` is what [`apply`](crate::apply()) wrote, or a dockerd. A file that is gone or differs is an error; the
/// sink has got the bytes up to it then. The caller compares the diff ID.
pub fn rebuild<R: Read, W: Write>(
    tar_split_gz: R,
    root: &Path,
    sink: W,
) -> Result<DiffId, ArchiveError> {
    let mut directories = Directories::open(root)?;
    let mut entries = SplitReader::new(tar_split_gz);
    let mut output = Output { sink, hasher: Sha256::new() };
    let mut buffer = vec![0; BUFFER_SIZE];
    while let Some(entry) = entries.advance()? {
        match entry {
            SplitEntry::Segment(bytes) => output.write(bytes)?,
            SplitEntry::File { name, size, checksum } => {
                let expected = Expected { name: &name, size, checksum };
                copy_file(&mut directories, &expected, &mut buffer, &mut output)?;
            }
        }
    }
    output.sink.flush().map_err(ArchiveError::Sink)?;
    Ok(DiffId::new(Digest::from_sha256(output.hasher.finalize().into())))
}

/// Writes the tar of a layer that is kept compressed, and returns its diff ID, which the caller compares.
pub fn decompress<R: Read + Send, W: Write>(
    compressed: R,
    sink: W,
) -> Result<DiffId, ArchiveError> {
    let mut input = Input::new(compressed, &|_| {});
    input.prefill()?;
    let compression = Compression::detect(input.buffered());
    let mut decoder = decoder(compression, &mut input)?;
    let mut output = Output { sink, hasher: Sha256::new() };
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => output.write(&buffer[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(ArchiveError::Decompress { compression, source }),
        }
    }
    output.sink.flush().map_err(ArchiveError::Sink)?;
    Ok(DiffId::new(Digest::from_sha256(output.hasher.finalize().into())))
}

/// Returns the size in bytes of the tar that [`rebuild`] makes of this tar-split.
pub fn rebuilt_size<R: Read>(tar_split_gz: R) -> Result<u64, ArchiveError> {
    let mut entries = SplitReader::new(tar_split_gz);
    let mut total: u64 = 0;
    while let Some(entry) = entries.advance()? {
        total = total.saturating_add(match entry {
            SplitEntry::Segment(bytes) => bytes.len() as u64,
            SplitEntry::File { size, .. } => size,
        });
    }
    Ok(total)
}

struct Output<W> {
    sink: W,
    hasher: Sha256,
}

impl<W: Write> Output<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hasher.update(bytes);
        self.sink.write_all(bytes).map_err(ArchiveError::Sink)
    }
}

/// A file as the tar-split has it.
struct Expected<'a> {
    name: &'a [u8],
    size: u64,
    checksum: [u8; 8],
}

impl Expected<'_> {
    fn damaged(&self, problem: &'static str) -> ArchiveError {
        damaged(self.name, problem)
    }
}

fn damaged(name: &[u8], problem: &'static str) -> ArchiveError {
    ArchiveError::Damaged { name: printable(name), problem }
}

/// Says of a file of a layer why it cannot be read.
pub(crate) fn unreadable(name: &[u8], errno: Errno) -> ArchiveError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => damaged(name, "it is gone"),
        Errno::LOOP => damaged(name, "it has become a symlink"),
        _ => {
            ArchiveError::Io { action: "read", path: printable(name).into(), source: errno.into() }
        }
    }
}

/// Opens the regular file `path` of a layer, which errors call `name`.
pub(crate) fn open_regular(
    directories: &mut Directories,
    path: &[u8],
    name: &[u8],
) -> Result<(OwnedFd, Stat), ArchiveError> {
    let (parent, last) = split(path);
    let parent = directories.find(parent)?.ok_or_else(|| damaged(name, "it is gone"))?;
    // Not blocking, should a FIFO have taken its place.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let failed = |errno| unreadable(name, errno);
    let file = openat(&parent, last, flags, Mode::empty()).map_err(failed)?;
    let stat = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(damaged(name, "it is no regular file"));
    }
    Ok((file, stat))
}

fn copy_file<W: Write>(
    directories: &mut Directories,
    expected: &Expected<'_>,
    buffer: &mut [u8],
    output: &mut Output<W>,
) -> Result<(), ArchiveError> {
    let mut path = Vec::new();
    clean(expected.name, &mut path);
    let (file, stat) = open_regular(directories, &path, expected.name)?;
    if u64::try_from(stat.st_size) != Ok(expected.size) {
        return Err(expected.damaged("its size differs"));
    }
    let mut checksum = Checksum::new();
    let mut left = expected.size;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = match rustix::io::read(&file, &mut buffer[..wanted]) {
            Ok(0) => return Err(expected.damaged("its size differs")),
            Ok(read) => read,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(unreadable(expected.name, errno)),
        };
        checksum.update(&buffer[..read]);
        output.write(&buffer[..read])?;
        left -= read as u64;
    }
    if checksum.finish() != expected.checksum {
        return Err(expected.damaged("its content differs"));
    }
    Ok(())
}
