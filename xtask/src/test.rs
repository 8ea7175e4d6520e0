//! `cargo xtask test`: everything that must pass.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use rustix::process::geteuid;
use test_support::servers::{COMPLETE, find_program};

use crate::workspace::{Workspace, cargo};
use crate::{check_deps, deny, shell, words};

/// Programs that the tests compare Longshore with, each with the Debian package that it is in.
const NEEDED: [(&str, &str); 27] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("notary", "notary"),
    ("notary-server", "notary"),
    ("notary-signer", "notary"),
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
    ("fish", "fish"),
    ("zsh", "zsh"),
    // libFuzzer is C++.
    ("g++", "g++"),
];

/// The library by which programs in Python speak to a daemon.
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
    let installation = Installation::plan(&workspace);
    installation.announce()?;
    let python = installation.run()?;
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
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    documentation.arg("--document-private-items");
    // What is private is documented, too, so a link to it leads somewhere.
    let flags = "--deny warnings --allow rustdoc::private_intra_doc_links";
    shell::run(documentation.env("RUSTDOCFLAGS", flags))?;
    println!();
    check_deps::run(&[])?;
    words::run()?;
    deny::run()?;
    // The end-to-end suites run the binary itself, which `--workspace` builds, and are tests of
    // its package.
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

/// Programs that the tests need and this machine has not, and the commands that install them.
struct Installation {
    packages: Vec<&'static str>,
    needs_docker_py: bool,
    commands: Vec<Command>,
    /// The Python that has docker-py afterwards.
    python: PathBuf,
}

impl Installation {
    /// Looks for what is missing.
    fn plan(workspace: &Workspace) -> Installation {
        let packages = missing();
        let mut commands = Vec::new();
        if !packages.is_empty() {
            let apt = |arguments: &[&str]| {
                let mut command = Command::new("apt-get");
                command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
                command
            };
            commands.push(apt(&["update", "--quiet"]));
            let mut install = apt(&["install", "--quiet", "--yes", "--no-install-recommends"]);
            install.args(&packages);
            commands.push(install);
        }
        let folder = workspace.target.join("docker-py");
        let python = folder.join("bin/python");
        let installed = Command::new(&python).args(["-c", "import docker"]).output();
        let needs_docker_py = !installed.is_ok_and(|output| output.status.success());
        if needs_docker_py {
            let mut venv = Command::new(PYTHON);
            venv.args(["-m", "venv", "--clear"]).arg(&folder);
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", DOCKER_PY]);
            commands.extend([venv, pip]);
        }
        Installation { packages, needs_docker_py, commands, python }
    }

    /// Says what is to be installed and how, before anything is, and what of it this user cannot do.
    fn announce(&self) -> Result<()> {
        if self.commands.is_empty() {
            println!("The tests have all that they need: nothing is installed.");
            return Ok(());
        }
        println!("The tests need what is not here:");
        if !self.packages.is_empty() {
            println!("  Debian packages: {}", self.packages.join(" "));
        }
        if self.needs_docker_py {
            println!("  docker-py, from PyPI into `target/docker-py`");
        }
        println!("It is installed by:");
        for command in &self.commands {
            println!("  {}", shell::line(command));
        }
        let names = self.packages.join(" ");
        if !self.packages.is_empty() && !geteuid().is_root() {
            bail!(
                "only root can install Debian packages. Either do it yourself:\n    \
                 sudo apt-get install --no-install-recommends {names}\n\
                 or let this task do it:\n    \
                 sudo -E cargo xtask test"
            );
        }
        if !self.packages.is_empty() && find_program("apt-get").is_none() {
            bail!("the tests need these Debian packages, and there is no `apt-get` here: {names}");
        }
        Ok(())
    }

    /// Installs it, and returns the Python that has docker-py.
    fn run(mut self) -> Result<PathBuf> {
        for command in &mut self.commands {
            shell::run(command)?;
        }
        let still = missing();
        if !still.is_empty() {
            bail!("these packages are installed, but not their programs: {}", still.join(" "));
        }
        Ok(self.python)
    }
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
