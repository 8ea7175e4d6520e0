//! The static binary, with the same bytes wherever it is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::target::{Target, sysroot};
use crate::shell;
use crate::workspace::{Workspace, cargo};

/// The commit that a release is made of, whose time everything gets that has one.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    /// Abbreviated.
    pub(super) name: String,
    /// Seconds since 1970.
    pub(super) seconds: i64,
    /// The same, as RFC 3339 has it.
    pub(super) time: String,
}

impl Commit {
    /// Asks the variables, as a source archive has no git, and then git.
    pub(super) fn read(workspace: &Workspace) -> Result<Commit> {
        let ask = |arguments: &[&str]| {
            let mut git = Command::new("git");
            shell::output(git.args(arguments).current_dir(&workspace.root))
        };
        let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let seconds = match said("SOURCE_DATE_EPOCH") {
            Some(seconds) => seconds,
            None => ask(&["log", "-1", "--format=%ct"])
                .context("without git SOURCE_DATE_EPOCH has to say how old the sources are")?,
        };
        let seconds = seconds
            .trim()
            .parse()
            .context("SOURCE_DATE_EPOCH is a number of seconds since 1970")?;
        let time = jiff::Timestamp::from_second(seconds).context("SOURCE_DATE_EPOCH")?.to_string();
        let name = said("LONGSHORE_COMMIT");
        let name = name.or_else(|| ask(&["rev-parse", "--short=7", "HEAD"]).ok());
        let name = name.unwrap_or_default().trim().to_owned();
        if !ask(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default().is_empty() {
            println!("The work tree is not as {name} has it: this is no build of that commit.");
        }
        Ok(Commit { name, seconds, time })
    }
}

/// Builds for a target into `folder`, and returns the binary.
pub(super) fn binary(
    workspace: &Workspace,
    target: &Target,
    commit: &Commit,
    folder: &Path,
) -> Result<PathBuf> {
    // Of several that a path begins with the last counts: the folder to build in may be in the first.
    let renamed = [
        (workspace.root.clone(), "/longshore"),
        (cargo_home()?, "/cargo"),
        (folder.to_owned(), "/target"),
        (Path::new(&sysroot()?).join("lib/rustlib/src/rust"), "/rust"),
    ];
    let mut flags = vec!["-C".to_owned(), "target-feature=+crt-static".to_owned()];
    let mut of_c = Vec::new();
    for (path, name) in &renamed {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    }
    // No C is built in the toolchain's folder.
    for (path, name) in &renamed[..3] {
        of_c.push(format!("-ffile-prefix-map={}={name}", path.display()));
    }
    let mut command = cargo();
    command
        .args(["build", "--release", "--locked", "--package", "longshore", "--target"])
        .arg(&target.triple)
        .arg("--target-dir")
        .arg(folder)
        .current_dir(&workspace.root)
        // With `--target` these are for what is built alone, not for build scripts and macros.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env(format!("CFLAGS_{}", target.triple.replace('-', "_")), of_c.join(" "))
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", commit.seconds.to_string())
        .env("LONGSHORE_COMMIT", &commit.name)
        .env("LONGSHORE_BUILD_TIME", &commit.time);
    if !target.is_host() {
        let compiler = target.cross_compiler();
        command.env(target.linker_variable(), &compiler);
        command.env(target.compiler_variable(), compiler);
    }
    shell::run(&mut command)?;
    Ok(folder.join(&target.triple).join("release/longshore"))
}

/// The folder in which cargo keeps the crates of others.
fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}
