//! The compressions that a layer may come in, and gzip for the layers that go out.
//!
//! Decoders read to the end of their source: a gzip stream may have several members and a zstd stream several frames.
//! What follows the last one and starts no further one, padding or garbage, is passed over, as by dockerd and gzip(1): the
//! tar is complete by then, its digest is checked, and that of the compressed bytes covers what follows, too.
//!
//! xz and bzip2 are what people pack root file systems with; like dockerd, Longshore reads them wherever it reads gzip.
//!
//! # Limits
//! A zstd frame may ask for a window of at most 128 MiB ([`streams::ZSTD_WINDOW_LOG`]): what `zstd --ultra -22` makes by default.
//! An xz block may ask for a dictionary of at most 128 MiB ([`streams::XZ_MEMORY_KIB`]): twice what `xz -9` makes. bzip2 never
//! needs more than 4 MiB.

mod compression;
mod gzip;
mod recompress;
mod streams;

use std::io::{BufRead, Read};

use crate::ArchiveError;
use streams::{Frames, Streams};

pub use compression::Compression;
pub use gzip::{GzipEncoder, LAYER_LEVEL, compress_gzip};
pub use recompress::{Encoding, recompress};

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
