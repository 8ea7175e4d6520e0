//! Copies between registries that work, break off, and lie.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod breaks;
mod convert;
mod files;
mod lies;
mod lost;
mod platforms;
mod referrers;
mod registries;
mod support;

/// A file that nobody lists is a test that nobody runs.
#[test]
fn every_file_is_listed() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "{name}");
    }
}
