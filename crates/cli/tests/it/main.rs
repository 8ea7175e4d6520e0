//! End to end: the real binary against real registries, the stock docker CLI and other engines.
//!
//! What needs root or a program that is not installed says so and passes; `cargo xtask test` installs the programs.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

mod advice;
mod all_tags;
mod archives;
mod check;
mod completion;
mod concurrent;
mod copy;
mod copy_killed;
mod copy_places;
mod crash;
mod crash_push;
mod deep;
mod docs;
mod durability;
mod equality;
mod exchange;
mod faults;
mod first_schema;
mod hints;
mod hosts;
mod import;
mod interchange;
mod inventory;
mod keep_blobs;
mod manifest;
mod mount;
mod odd_registries;
mod oddities;
mod offline;
mod operate;
mod policies;
mod progress;
mod protection;
mod prune;
mod random_layers;
mod referrers;
mod refusals;
mod registries;
mod registry_verbs;
mod secure;
mod shortage;
mod signals;
mod support;
mod trust;
mod two_engines;
mod unpack;
mod unpack_places;
mod whole;
mod whole_images;

/// A test file that nobody lists would pass by not running.
#[test]
fn every_file_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // A table stands beside the tests that read it.
        let module = match name.rsplit_once('.') {
            Some((module, "rs")) => module,
            Some(_) => continue,
            None => &name,
        };
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "{name} is not listed"
        );
    }
}
