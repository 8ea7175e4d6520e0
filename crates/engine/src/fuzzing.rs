//! Fuzz targets: the document of an archive that leaves layers out.

use crate::load;

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("left-out", load::fuzz_left_out)];

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
