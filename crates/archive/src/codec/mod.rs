//! The compressions that a layer may come in, and gzip for the layers that go out.
//!
//! Decoders read to the end of their source: a gzip stream may have several members and a zstd stream several frames.
//! What follows the last one and starts no further one, padding or garbage, is passed over, as by dockerd and gzip(1): the
//! tar is complete by then, its digest is checked, and that of the compressed bytes covers what follows, too.
//!
//! xz and bzip2 are what people pack root file systems with; like dockerd, Longshore reads them wherever it reads gzip.
//!
//! # Limits
//! A zstd frame may ask for a window of at most 128 MiB ([`ZSTD_WINDOW_LOG`]): what `zstd --ultra -22` makes by default.
//! An xz block may ask for a dictionary of at most 128 MiB ([`XZ_MEMORY_KIB`]): twice what `xz -9` makes. bzip2 never
//! needs more than 4 MiB.

mod gzip;
mod streams;

use std::fmt;
use std::io::{BufRead, Read};

use crate::ArchiveError;
use streams::{Frames, Streams};

pub use gzip::{GzipEncoder, LAYER_LEVEL, compress_gzip};

/// The largest zstd window, as a power of two: 128 MiB, the limit of the `zstd` tool without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The beginning of a block of bzip2: the first digits of pi.
const BZIP2_BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
/// The end of a stream of bzip2: the first digits of its square root.
const BZIP2_END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
/// The most memory for an xz stream: a dictionary of 128 MiB and what the decoder has beside it.
const XZ_MEMORY_KIB: u32 = (128 << 10) + 1024;

/// The compression of a layer's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
    /// The xz file format, any number of streams.
    Xz,
    /// bzip2, any number of streams.
    Bzip2,
}

impl Compression {
    /// The number of first bytes of a stream that are enough to recognise its compression.
    pub const PREFIX: u64 = 10;

    /// Recognises the compression by the stream's first bytes, [`PREFIX`](Self::PREFIX) of them or more.
    pub fn detect(prefix: &[u8]) -> Self {
        match prefix {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, which `pzstd` and zstd:chunked put first.
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // Three letters could begin a file name, and so a tar: the block size and the mark of a block or of the
            // end make sure.
            [b'B', b'Z', b'h', b'1'..=b'9', mark @ ..]
                if mark.starts_with(&BZIP2_BLOCK) || mark.starts_with(&BZIP2_END) =>
            {
                Self::Bzip2
            }
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

/// Returns a reader of the uncompressed bytes of `source`, which should have a buffer of 128 KiB or more.
pub fn decoder<'a, R: BufRead + Send + 'a>(
    compression: Compression,
    source: R,
) -> Result<Box<dyn Read + Send + 'a>, ArchiveError> {
    Ok(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip | Compression::Xz | Compression::Bzip2 => {
            Box::new(Streams::new(compression, source))
        }
        Compression::Zstd => {
            let frames = Frames::new(source);
            Box::new(frames.map_err(|source| ArchiveError::Decompress { compression, source })?)
        }
    })
}

#[cfg(test)]
mod tests;
