//! Fuzz targets: the daemon's configuration file.

use crate::config;

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("daemon-json", config::fuzz)];

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
