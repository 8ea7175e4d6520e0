//! Fuzz targets: files of the data root, which a power cut, another version or a dockerd wrote.

use crate::{cache, collect, images, ingest};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("lease", collect::journal::fuzz),
    ("ingest-state", ingest::fuzz),
    ("catalog", cache::catalog::fuzz),
    ("repositories", images::references::fuzz),
];

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
