//! A daemon as its clients see it: real HTTP over pipes and sockets, on a real engine and data root.
#![cfg(test)]

mod answers;
mod compatibility;
mod fixture;
mod hostile;
mod images;
mod import;
mod inventory;
mod lifetime;
mod prune;
mod search;
mod system;

/// A file here that is not named above would never run.
#[test]
fn every_file_is_a_module() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let source = include_str!("main.rs");
    for entry in std::fs::read_dir(here).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Tables stand beside the tests that read them.
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || source.contains(&format!("mod {module};")), "{name}");
    }
}
