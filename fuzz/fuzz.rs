//! All fuzz targets in one program, as one link takes less than fifteen. `LONGSHORE_FUZZ_TARGET` names the one to run.
//!
//! The targets are in each crate's `fuzzing.rs`, where they reach what is private.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

type Target = fn(&[u8]);

static TARGET: OnceLock<Target> = OnceLock::new();

fn find() -> Target {
    let crates = [
        api::fuzzing::TARGETS,
        archive::fuzzing::TARGETS,
        copy::fuzzing::TARGETS,
        daemon::fuzzing::TARGETS,
        engine::fuzzing::TARGETS,
        go_template::fuzzing::TARGETS,
        policy::fuzzing::TARGETS,
        registry::fuzzing::TARGETS,
        spec::fuzzing::TARGETS,
        store::fuzzing::TARGETS,
        trust::fuzzing::TARGETS,
    ];
    let wanted = std::env::var("LONGSHORE_FUZZ_TARGET").unwrap_or_default();
    let found = crates.into_iter().flatten().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("`LONGSHORE_FUZZ_TARGET` names no target: `{wanted}`")).1
}

fuzz_target!(init: { let _ = TARGET.set(find()); }, |data: &[u8]| TARGET.get_or_init(find)(data));
