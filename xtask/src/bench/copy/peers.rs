//! Programs that copy between registries, and registries to copy to.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use test_support::http::Client;
use test_support::servers::{DockerRegistry, Process, find_program, free_port};

use super::content::{Content, PREFIX};
use crate::bench::options::{COPIERS, Options};
use crate::shell::output;
use crate::workspace::longshore;

/// One that copies.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    pub(super) name: &'static str,
    binary: &'a Path,
    folder: PathBuf,
}

/// Those that the options ask for and the machine has.
pub(super) fn copiers<'a>(binary: &'a Path, folder: &Path, options: &Options) -> Vec<Copier<'a>> {
    let mut copiers = Vec::new();
    for name in COPIERS.into_iter().filter(|name| options.includes_peer(name)) {
        if name != "longshore" && find_program(name).is_none() {
            println!("{name} is not installed, so not compared");
            continue;
        }
        copiers.push(Copier { name, binary, folder: folder.to_owned() });
    }
    copiers
}

impl Copier<'_> {
    pub(super) fn version(&self) -> Result<String> {
        let mut command = match self.name {
            "longshore" => Command::new(self.binary),
            other => Command::new(other),
        };
        let argument = if self.name == "crane" { "version" } else { "--version" };
        Ok(output(command.arg(argument))?.trim().to_owned())
    }

    /// Says whether it copies the tags by which referrers are found. skopeo 1.9 can only do so if it may change their indexes.
    pub(super) fn takes_referrers(&self) -> bool {
        self.name != "skopeo"
    }

    /// The command that copies all repositories from one registry to another of `host:port`.
    pub(super) fn command(&self, content: Content, source: &str, target: &str) -> Result<Command> {
        match self.name {
            "longshore" => {
                let entry = |name| {
                    format!(
                        "[[copy]]\nsource = \"{source}/{name}\"\ntarget = \"{target}/{name}\"\n"
                    )
                };
                let mut command = longshore(self.binary, &self.folder)?;
                command.args(["sync", "--quiet"]);
                command
                    .arg(self.file("sync.toml", &content.names().map(entry).collect::<String>())?);
                Ok(command)
            }
            "skopeo" => {
                let images: Vec<String> =
                    content.names().map(|name| format!("    {name}: ^v")).collect();
                let text = format!(
                    "{source}:\n  tls-verify: false\n  images-by-tag-regex:\n{}\n",
                    images.join("\n")
                );
                let mut command = Command::new("skopeo");
                command.args(["--insecure-policy", "sync", "--all", "--preserve-digests"]);
                command.args(["--dest-tls-verify=false", "--src", "yaml", "--dest", "docker"]);
                // It takes the last part of each name.
                command.arg(self.file("skopeo.yml", &text)?).arg(format!("{target}/{PREFIX}"));
                Ok(command)
            }
            _ => {
                // One command for each repository.
                let copy = |name| {
                    format!("crane copy --insecure --all-tags {source}/{name} {target}/{name}")
                };
                let mut command = Command::new("sh");
                command.arg("-ec").arg(content.names().map(copy).collect::<Vec<_>>().join("\n"));
                Ok(command)
            }
        }
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}

/// The registries that are copied to, as they are called in the tables.
pub(super) const TARGETS: [&str; 2] = ["docker-registry", "longshore registry"];

/// An empty registry.
#[derive(Debug)]
pub(super) struct Target {
    address: String,
    _docker: Option<DockerRegistry>,
    _ours: Option<Process>,
}

impl Target {
    pub(super) fn start(kind: &str, binary: &Path, folder: &Path) -> Result<Target> {
        let storage = folder.join("copied");
        crate::bench::peers::empty(&storage)?;
        if kind == "docker-registry" {
            let docker =
                DockerRegistry::builder().storage(&storage).start().context(kind.to_owned())?;
            let address = docker.address().to_owned();
            return Ok(Target { address, _docker: Some(docker), _ours: None });
        }
        let port = free_port().context("no port is free")?;
        let address = format!("127.0.0.1:{port}");
        let mut command = longshore(binary, folder)?;
        command.args(["registry", "serve", "--listen", &address, "--root"]).arg(&storage);
        let ready = || TcpStream::connect(&address).is_ok();
        let ours = Process::start(command, &folder.join("registry.log"), ready)?;
        Ok(Target { address, _docker: None, _ours: Some(ours) })
    }

    /// Its `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.address)
    }
}
