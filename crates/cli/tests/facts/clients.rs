//! Real clients, unmodified.

use std::process::Command;

use test_support::servers::{COMPLETE, installed};

use crate::images::Images;
use crate::player::tar;
use crate::world::House;
use test_support::tar::Entry;

/// A Python that has docker-py; `cargo xtask test` installs one and sets this.
const PYTHON: &str = "LONGSHORE_DOCKER_PY";

/// Runs the script against a daemon.
fn docker_py(house: &House) {
    let Some(python) = std::env::var_os(PYTHON) else {
        assert!(std::env::var_os(COMPLETE).is_none(), "{COMPLETE} is set, but {PYTHON} is not");
        println!("skipped: {PYTHON} does not name a Python with docker-py");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("fs.tar");
    std::fs::write(&archive, tar(&[Entry::directory("."), Entry::file("./hi", "hi\n")])).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/facts/docker_py.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&house.socket).env("DOCKER_CONFIG", folder.path());
    for registry in ["127.0.0.1:5600", "127.0.0.1:5601"] {
        command.arg(house.world.address(registry));
    }
    let output = command.arg(archive).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn docker_py_is_content_with_longshore() {
    docker_py(&House::longshore(&Images::make()).unwrap());
}

/// Each claim of the script must be true of dockerd.
#[test]
fn docker_py_is_content_with_dockerd() {
    if !rustix::process::geteuid().is_root() || !installed(&["dockerd"]) {
        println!("skipped: needs root and dockerd");
        return;
    }
    docker_py(&House::docker(&Images::make()).unwrap());
}
