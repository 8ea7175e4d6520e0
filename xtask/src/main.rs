//! The tasks of this repository: `cargo xtask <task>`.

// Printing is what these tasks are for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod check_deps;
mod demo;
mod deny;
mod dist;
mod facts;
mod fuzz;
mod machine;
mod mutate_syncs;
#[cfg(test)]
mod pages;
mod shell;
mod sources;
mod test;
mod test_dist;
mod words;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask <task>

Tasks:
  demo         Build Longshore, start its registry, and take a real image there and back
  test         Everything that must pass: format, lints, dependencies, all tests
  check-deps   Check that the crates depend on each other only as ARCHITECTURE.md allows, and
               that no files of a crate depend on each other in a circle
               [--summary [FOLDER]]: lines, files and circles of each crate instead
  deny         Check licences, versions and sources of the crates of others against `deny.toml`
  words        Check that doc comments say what a thing is: none opens with an interrogative, and
               none only repeats the name
  fuzz         Send mutated inputs to everything that reads what others wrote; see `fuzz/`
               [TARGET] [--seconds N]
  mutate-syncs Take each sync of the store out in turn: a test of the crash suite fails for each
  bench        Pull, push, load, save, list and copy images, side by side with dockerd, containerd, podman,
               skopeo and crane; over a long link (milliseconds, MB/s of a connection and of all)
               and with so many cores, if asked: [--wan 20,25,200] [--cores 1,2,all] [--quick] [--runs N] [--only pull|push|rebuild|load|save|clients|list|copy] [--image NAME]...
               [--peer NAME]... [--against BINARY]: another build of Longshore
  dist         Make what a release has, in `target/dist`: static binary, Debian package, archive with
               an install script, OCI image, list of crates, sums
               [--target TRIPLE] [--target-dir FOLDER] [--binary FILE]: one that is built already
  test-dist    Try these in a Debian 12 with nothing else, made by debootstrap, and in an empty folder
               [--debian FOLDER]: such a Debian that is there already
  facts        Write the fixtures of the conformance suite anew from recordings of a dockerd
               FOLDER

`test` installs the Debian packages it needs, `bench` mounts a file system: both need root for it.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((task, rest)) = arguments.split_first() else { bail!("no task given\n\n{USAGE}") };
    match (task.as_str(), rest) {
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        ("bench", options) => bench::run(&bench::Options::parse(options)?),
        ("check-deps", options) => check_deps::run(options),
        ("fuzz", options) => fuzz::run(&fuzz::Options::parse(options)?),
        ("demo", []) => demo::run(),
        ("dist", options) => dist::run(&dist::Options::parse(options)?),
        ("facts", [folder]) => facts::run(folder.as_ref()),
        ("facts", _) => bail!("`facts` takes the folder of the recordings"),
        ("test", []) => test::run(),
        ("test-dist", options) => test_dist::run(options),
        ("deny", []) => deny::run(),
        ("mutate-syncs", []) => mutate_syncs::run(),
        ("words", []) => words::run(),
        ("demo" | "deny" | "mutate-syncs" | "test" | "words", [option, ..]) => {
            bail!("`{task}` has no option `{option}`")
        }
        _ => bail!("no task `{task}`\n\n{USAGE}"),
    }
}
