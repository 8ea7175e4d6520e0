//! Layers as archives: decompressed and hashed, unpacked safely, rebuilt to the byte, compressed, compared with their files; and
//! the archives that hold images.
//!
//! A layer is a tar, mostly compressed, that is hostile until its digests are checked, which can only be after all of it
//! was read. It is therefore unpacked while it is read, confined by the kernel to a directory that nobody uses before
//! the caller has compared the digests that come back.
//!
//! # Flow
//! [`unpack()`]: source → decompress → diff ID → tar entries → files in the layer's directory, and the tar-split.
//! [`inspect_compressed`]: the same without files: entries → a tree of names, so that what cannot be unpacked is refused.
//! [`rebuild()`]: tar-split and directory → the same tar → [`GzipEncoder`] for a push.
//! [`verify()`]: tar-split and directory → the same tar → what every file must be → what of the directory is not so.
//! [`extract`]: source → decompress → diff ID → tar entries → a directory of the layer → one for all layers, as
//! overlayfs shows them.
//! [`list_split`] and [`list_compressed`]: the files of a layer and what it says of each, for a comparison of images.
//! [`recompress`]: source → decompress → diff ID → gzip or zstd, for a copy that changes the compression.
//! [`read_entries`], [`read_entries_in_place`] and [`TarWriter`]: the files of an archive of images, for a load and a save.
//!
//! # Limits
//! Memory per layer is flat, some 3 MiB plus what a hostile stream can make of it within its bounds: a zstd window or
//! an xz dictionary of up to 128 MiB, extended headers of 8 MiB, and some 20 bytes for each of at most ten million
//! entries; 60 where the layer is looked at and not unpacked. [`verify()`] needs the memory for all names.
//!
//! # Compatibility
//! Directories and tar-splits are dockerd's (overlay2 driver), so that either can go on with what the other unpacked.

mod apply;
mod attributes;
mod codec;
mod contents;
mod entries;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod in_place;
mod inspect;
mod merge;
mod options;
mod path;
mod read;
mod rebuild;
mod relay;
mod resolve;
mod seen;
mod source;
mod split;
mod steps;
mod tar;
mod tree;
mod unpack;
mod verify;
mod walk;
mod writer;

pub use apply::empty_directory;
pub use codec::{
    Compression, Encoding, GzipEncoder, LAYER_LEVEL, compress_gzip, decoder, recompress,
};
pub use contents::{
    ContentHash, FileKind, LayerFile, LayerFiles, Room, hash_file, list_compressed, list_split,
};
pub use entries::{ArchiveEntry, EntryContent, EntryKind, read_entries, read_entries_in_place};
pub use error::ArchiveError;
pub use inspect::inspect_compressed;
pub use options::{Applied, ApplyOptions, MakeRoom, Unpacked, Whiteouts, XattrNamespace};
pub use read::read_file;
pub use rebuild::{decompress, rebuild, rebuilt_size};
pub use steps::{Step, Work};
pub use tar::is_tar;
pub use unpack::{apply, extract, unpack};
pub use verify::{Damage, Verified, verify};
pub use writer::{TarEntry, TarWriter};
