//! A streaming tar reader that also tells the raw bytes of everything but file content.
//!
//! It reads what Go's `archive/tar` reads, as Go reads it, for that is what dockerd uses: v7, ustar, PAX (with the GNU
//! sparse formats 0.0, 0.1 and 1.0), old GNU with long names and sparse maps, and star. Where Go is lenient (signed
//! checksums, a missing end mark, missing padding after the last file) so is this.
//!
//! # Limits
//! The largest extended header and sparse map are Go's and libarchive's ([`MAX_SPECIAL_SIZE`]); names are bounded by
//! `PATH_MAX`, entries by [`MAX_ENTRIES`].

mod header;
mod number;
mod pax;
mod reader;
mod sparse;

pub use header::is_tar;
pub(crate) use header::{Header, Kind, Timestamp};
#[cfg(any(test, fuzzing))]
pub(crate) use pax::fuzz as fuzz_pax;
pub(crate) use reader::{Chunks, Stream, TarReader};
pub(crate) use sparse::Fragment;

/// Every part of a tar is padded to this.
pub(crate) const BLOCK_SIZE: usize = 512;
/// The largest PAX header, GNU long name and sparse map, in bytes.
pub(crate) const MAX_SPECIAL_SIZE: u64 = 1 << 20;
/// The longest name or link target, in bytes: Linux's `PATH_MAX`.
pub(crate) const MAX_NAME: usize = 4096;
/// The most entries, extended headers included. The largest known layers have some hundred thousands.
pub(crate) const MAX_ENTRIES: u64 = 10_000_000;

/// All extended headers of one entry together, in bytes: room for one of each kind and the sparse map.
pub(crate) const MAX_HEADERS_SIZE: usize = 8 << 20;

/// A header block or extension block.
pub(crate) type Block = [u8; BLOCK_SIZE];
