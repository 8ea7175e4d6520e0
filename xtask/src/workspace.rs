//! The workspace as Cargo describes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;

/// The workspace, as `cargo metadata` describes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A crate of the workspace.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) targets: Vec<Target>,
}

/// One thing that is built of a crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

/// One crate that another depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Set for a crate of the workspace.
    pub(crate) path: Option<PathBuf>,
}

impl Workspace {
    pub(crate) fn read() -> Result<Workspace> {
        // Where this was built from, wherever it is run.
        Workspace::read_in(env!("CARGO_MANIFEST_DIR").as_ref())
    }

    /// Reads the workspace of a folder.
    pub(crate) fn read_in(folder: &Path) -> Result<Workspace> {
        let mut command = cargo();
        command.args(["metadata", "--format-version=1", "--no-deps"]).current_dir(folder);
        serde_json::from_str(&shell::output(&mut command)?).context("cannot read cargo's metadata")
    }

    /// Builds the `longshore` binary as it is released.
    pub(crate) fn build_release(&self) -> Result<()> {
        let mut command = cargo();
        command.args(["build", "--release", "--package", "longshore"]);
        shell::run(command.current_dir(&self.root))
    }

    /// Path of the binary that [`Workspace::build_release`] makes.
    pub(crate) fn release_binary(&self) -> PathBuf {
        self.target.join("release").join("longshore")
    }
}

impl Package {
    /// The crate's folder.
    pub(crate) fn folder(&self) -> Result<&Path> {
        self.manifest_path.parent().context("a manifest is in no folder")
    }

    /// The file that the crate's modules begin in.
    pub(crate) fn root_file(&self) -> Result<&Path> {
        let is_main =
            |target: &&Target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin");
        let main = self.targets.iter().find(is_main).or(self.targets.first());
        Ok(&main.with_context(|| format!("nothing is built of {}", self.name))?.src_path)
    }
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `longshore` with the same behaviour on every machine: no daemon, credentials or configuration
/// but what is in `folder`.
pub(crate) fn longshore(binary: &Path, folder: &Path) -> Result<Command> {
    let config_file = folder.join("daemon.json");
    if !config_file.exists() {
        std::fs::write(&config_file, "{}")
            .with_context(|| format!("cannot write `{}`", config_file.display()))?;
    }
    let mut command = Command::new(binary);
    for variable in ["LONGSHORE_HOST", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"] {
        command.env_remove(variable);
    }
    command.arg("--config").arg(folder.join("config"));
    command.arg("--config-file").arg(config_file);
    Ok(command)
}
