//! Layers unpacked and rebuilt through the crate's public interface.
//!
//! The tars are built by hand, so that they can be as wrong as an attacker's. Run as root, the tests cover owners,
//! devices and whiteouts; otherwise those assertions are left out.
#![cfg(test)]

mod accepted;
mod apply;
mod attributes;
mod builder;
mod fixture;
mod headers;
mod hostile;
mod merge;
mod mutation;
mod read_only;
mod replacement;
mod room;
mod round_trip;
mod sparse;
mod stream;
mod verify;
mod whiteouts;

/// A file that nobody lists would silently not run.
#[test]
fn every_file_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "{name}");
    }
}
