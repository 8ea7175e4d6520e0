//! `cargo xtask test`: everything that must pass.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::process::geteuid;
use test_support::servers::{COMPLETE, find_program};

use crate::workspace::{Workspace, cargo};
use crate::{check_deps, shell};

/// What the tests compare Longshore with: a program, and the Debian package that it is in.
const NEEDED: [(&str, &str); 21] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("podman", "podman"),
    ("htpasswd", "apache2-utils"),
    ("openssl", "openssl"),
    ("getfattr", "attr"),
    ("tar", "tar"),
    ("gzip", "gzip"),
    ("bzip2", "bzip2"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("umoci", "umoci"),
    ("crun", "crun"),
    ("runc", "runc"),
    ("groff", "groff-base"),
    ("mkfs.ext4", "e2fsprogs"),
    ("losetup", "mount"),
    ("strace", "strace"),
    ("script", "bsdutils"),
];

/// What programs in Python speak to a daemon with.
const DOCKER_PY: &str = "docker==7.1.0";

/// Debian's Python, whatever else is first on the PATH.
const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    let root = &workspace.root;
    let cargo = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments).current_dir(root);
        command
    };
    install_packages()?;
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    shell::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))?;
    println!();
    check_deps::run(&[])?;
    // The end-to-end suites run the binary itself, which `--workspace` builds, and are tests of
    // its package.
    let python = install_docker_py(&workspace)?;
    let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    shell::run(tests.env(COMPLETE, "1").env("LONGSHORE_DOCKER_PY", python))?;
    println!("\nEverything passed.");
    if !geteuid().is_root() {
        println!(
            "Not as root, so without the tests that need it (the overlay2 driver, dockerd): \
             `sudo -E cargo xtask test` runs them too."
        );
    }
    Ok(())
}

/// Installs what is missing, or says what to install.
fn install_packages() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !geteuid().is_root() {
        bail!(
            "the tests need Debian packages that are not installed: {names}\n\
             Only root can install them. Either do it yourself:\n    \
             sudo apt-get install --no-install-recommends {names}\n\
             or let this task do it:\n    \
             sudo -E cargo xtask test"
        );
    }
    if find_program("apt-get").is_none() {
        bail!("the tests need these Debian packages, and there is no `apt-get` here: {names}");
    }
    println!("Installing what the tests need: {names}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    shell::run(&mut apt(&["update", "--quiet"]))?;
    let mut install = apt(&["install", "--quiet", "--yes", "--no-install-recommends"]);
    shell::run(install.args(&missing)).context("cannot install the packages")?;
    let still = self::missing();
    if !still.is_empty() {
        bail!("these packages are installed, but not their programs: {}", still.join(" "));
    }
    Ok(())
}

/// Installs docker-py below the target folder, and returns the Python that has it.
fn install_docker_py(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("docker-py");
    let python = folder.join("bin/python");
    let installed = Command::new(&python).args(["-c", "import docker"]).output();
    if installed.is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    shell::run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", DOCKER_PY]);
    shell::run(&mut pip).context("cannot install docker-py from PyPI")?;
    Ok(python)
}

/// The packages whose programs are not there, each once.
fn missing() -> Vec<&'static str> {
    let absent = NEEDED.into_iter().filter(|(program, _)| find_program(program).is_none());
    let mut packages: Vec<&str> = absent.map(|(_, package)| package).collect();
    packages.dedup();
    // A package without a program: what makes a Python environment for docker-py.
    let venv = Command::new(PYTHON).args(["-c", "import ensurepip"]).output();
    if !venv.is_ok_and(|output| output.status.success()) {
        packages.push("python3-venv");
    }
    packages
}
