//! Fuzz targets: files that say what is to be copied.

use crate::sync;

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("sync-file", sync::fuzz)];

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
