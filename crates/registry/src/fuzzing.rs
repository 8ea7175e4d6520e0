//! Fuzz targets: what a registry answers, and files that say whom to ask.

use crate::{auth, hosts, http, jws};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("challenge", auth::challenge::fuzz),
    ("hosts-toml", hosts::file::fuzz),
    ("link", http::links::fuzz),
    ("signed-manifest", jws::fuzz),
];

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
