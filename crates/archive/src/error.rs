//! Errors of a layer's archive.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::Compression;

/// An error of reading, unpacking or rebuilding a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The source of the layer's bytes failed: network, disk, or the caller cancelled.
    #[error("failed to read the layer")]
    Read(#[source] io::Error),
    /// The compressed stream is damaged, cut off, or followed by bytes that are no further member.
    #[error("failed to decompress the layer as {compression}")]
    Decompress {
        /// The codec in use.
        compression: Compression,
        /// The codec's complaint.
        #[source]
        source: io::Error,
    },
    /// The tar ends inside a header or a file.
    #[error("the tar ends unexpectedly at offset {offset}")]
    Truncated {
        /// Bytes into the uncompressed tar.
        offset: u64,
    },
    /// A tar header breaks the format.
    #[error("invalid tar header at offset {offset}: {problem}")]
    Header {
        /// Bytes into the uncompressed tar, at the end of the header.
        offset: u64,
        /// The fault, in words.
        problem: &'static str,
    },
    /// A header field or extended header is longer than its bound.
    #[error("{field} of the tar entry at offset {offset} is longer than {limit} bytes")]
    FieldTooLong {
        /// Bytes into the uncompressed tar.
        offset: u64,
        /// The header field, by its name.
        field: &'static str,
        /// The bound in bytes.
        limit: u64,
    },
    /// The tar has more entries than any layer may have.
    #[error("the tar has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u64,
    },
    /// The files of layers would take more memory than the caller allows.
    #[error("the layers have more files than fit into {limit} bytes of memory")]
    TooManyFiles {
        /// The bound in bytes.
        limit: usize,
    },
    /// The uncompressed tar exceeds what the caller allows (a decompression bomb, or a full disk ahead).
    #[error("the uncompressed layer is larger than the {limit} bytes allowed")]
    TarTooLarge {
        /// The caller's bound in bytes.
        limit: u64,
    },
    /// An entry of a type that dockerd does not unpack either.
    #[error("tar entry `{name}` has the unsupported type `{kind}`")]
    UnsupportedType {
        /// The entry's name.
        name: String,
        /// The type flag, escaped where it is no printable character.
        kind: String,
    },
    /// A volume of a GNU archive of several, and not the first.
    #[error("tar entry `{name}` continues a file of an earlier volume: join the volumes first")]
    Continuation {
        /// The entry's name.
        name: String,
    },
    /// A hard link to the layer's root.
    #[error("tar entry `{name}` points outside the layer")]
    Breakout {
        /// The link's target.
        name: String,
    },
    /// Two entries of one path, which dockerd and podman refuse in these words.
    #[error("tar entry `{name}` occurs twice: duplicates of file paths not supported")]
    Duplicate {
        /// The path.
        name: String,
    },
    /// A whiteout that hides nothing, or hides a file of the same layer, or where none is allowed.
    #[error("invalid whiteout `{name}`: {problem}")]
    Whiteout {
        /// The whiteout's name in the tar.
        name: String,
        /// The fault, in words.
        problem: &'static str,
    },
    /// A device number that no device can have.
    #[error("device number {major}:{minor} of tar entry `{name}` is out of range")]
    Device {
        /// The entry's name.
        name: String,
        /// Major number as the header has it.
        major: i64,
        /// Minor number as the header has it.
        minor: i64,
    },
    /// A system call on a file of the layer failed.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// The action that was attempted.
        action: &'static str,
        /// The path within the layer, or of the layer's root.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The tar-split could not be written.
    #[error("failed to write the tar-split")]
    SplitWrite(#[source] io::Error),
    /// The tar-split could not be read.
    #[error("failed to read the tar-split")]
    SplitRead(#[source] io::Error),
    /// The tar-split is no tar-split.
    #[error("invalid tar-split in line {line}: {problem}")]
    Split {
        /// Counted from 1.
        line: u64,
        /// The fault, in words.
        problem: &'static str,
    },
    /// A file of the layer is not what it was when it was unpacked.
    #[error("layer file `{name}` is damaged: {problem}")]
    Damaged {
        /// The file's name in the tar.
        name: String,
        /// The difference, in words.
        problem: &'static str,
    },
    /// The receiver of a rebuilt tar failed.
    #[error("failed to write the rebuilt tar")]
    Sink(#[source] io::Error),
}

/// Turns a system call's answer into an error that names a path in the layer.
pub(crate) fn failed(
    action: &'static str,
    path: &[u8],
) -> impl FnOnce(rustix::io::Errno) -> ArchiveError {
    move |errno| ArchiveError::Io { action, path: path_buf(path), source: io::Error::from(errno) }
}

pub(crate) fn path_buf(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

/// Renders a name from a tar for a message: lossy, and cut so that a hostile name cannot flood a log.
pub(crate) fn printable(name: &[u8]) -> String {
    const SHOWN: usize = 512;
    let text = String::from_utf8_lossy(&name[..name.len().min(SHOWN)]);
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}
