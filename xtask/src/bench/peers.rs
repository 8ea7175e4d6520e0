//! Programs to compare: how each pulls, tags, pushes and forgets an image.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use test_support::servers::{Dockerd, Process, find_program};

use super::images::Recipe;
use super::options::{Options, PEERS};
use crate::shell::output;
use crate::workspace::{Workspace, longshore};

/// The daemon's socket in its runtime folder.
const SOCKET: &str = "longshore.sock";

/// Those that this task builds.
const OURS: [&str; 2] = ["longshore", "longshore-daemon"];

/// Another build of Longshore, in the client's process.
pub(super) const AGAINST: &str = "against";

/// A peer with a store of its own.
#[derive(Debug)]
pub(super) struct Peer {
    name: &'static str,
    kind: Kind,
    store: PathBuf,
}

#[derive(Debug)]
enum Kind {
    /// Longshore with the engine in the client's process.
    InProcess { binary: PathBuf, folder: PathBuf },
    /// Longshore's client and daemon.
    Daemon { binary: PathBuf, folder: PathBuf, process: Process, runtime: TempDir },
    /// The stock client and dockerd.
    Dockerd(Dockerd),
    /// containerd by its own client.
    Containerd { process: Process, runtime: TempDir },
    /// podman with the kernel's overlay, as root has it.
    Podman { runtime: TempDir },
    /// skopeo to an OCI layout, which unpacks nothing.
    Skopeo,
}

/// Starts those that the options ask for and the machine has.
pub(super) fn start(workspace: &Workspace, folder: &Path, options: &Options) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    let binary = workspace.release_binary();
    if !options.built && OURS.into_iter().any(|name| options.includes_peer(name)) {
        workspace.build_release()?;
    }
    for name in PEERS.into_iter().filter(|name| options.includes_peer(name)) {
        if !OURS.contains(&name) && find_program(name).is_none() {
            println!("{name} is not installed, so not compared");
            continue;
        }
        let own = folder.join(name);
        fs::create_dir_all(&own).with_context(|| format!("cannot make `{}`", own.display()))?;
        peers.push(start_one(name, &binary, &own).with_context(|| format!("cannot start {name}"))?);
    }
    if let Some(binary) = options.against() {
        let folder = folder.join(AGAINST);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let store = folder.join("store");
        let kind = Kind::InProcess { binary: binary.to_owned(), folder };
        peers.push(Peer { name: AGAINST, kind, store });
    }
    Ok(peers)
}

fn start_one(name: &'static str, binary: &Path, folder: &Path) -> Result<Peer> {
    let store = folder.join("store");
    let kind = match name {
        "longshore" => Kind::InProcess { binary: binary.to_owned(), folder: folder.to_owned() },
        "longshore-daemon" => start_daemon(binary, folder, &store)?,
        "dockerd" => Kind::Dockerd(Dockerd::builder().data_root(&store).start()?),
        "containerd" => start_containerd(folder, &store)?,
        "podman" => Kind::Podman { runtime: runtime_folder()? },
        _ => Kind::Skopeo,
    };
    Ok(Peer { name, kind, store })
}

fn start_daemon(binary: &Path, folder: &Path, store: &Path) -> Result<Kind> {
    let runtime = runtime_folder()?;
    let socket = runtime.path().join(SOCKET);
    let mut command = longshore(binary, folder)?;
    command.arg("--data-root").arg(store).args(["--storage-driver", "overlay2", "daemon"]);
    command.arg("--host").arg(format!("unix://{}", socket.display()));
    let ready = || UnixStream::connect(&socket).is_ok();
    let process = Process::start(command, &folder.join("log"), ready)?;
    Ok(Kind::Daemon { binary: binary.to_owned(), folder: folder.to_owned(), process, runtime })
}

fn start_containerd(folder: &Path, store: &Path) -> Result<Kind> {
    let runtime = runtime_folder()?;
    let socket = runtime.path().join(SOCKET);
    // Its default plugin for Kubernetes would listen and look for networks.
    let config = folder.join("config.toml");
    fs::write(&config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n")
        .context("cannot write containerd's configuration")?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&config).arg("--root").arg(store);
    command.arg("--state").arg(runtime.path().join("state")).arg("--address").arg(&socket);
    let ready = || UnixStream::connect(&socket).is_ok();
    let process = Process::start(command, &folder.join("log"), ready)?;
    Ok(Kind::Containerd { process, runtime })
}

/// A folder with a short path: a socket's has to fit into 108 bytes, podman's into 50.
fn runtime_folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("bench-").tempdir_in("/run").context("cannot use `/run`")
}

impl Peer {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The folder of its images.
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// The process that works for its client.
    pub(super) fn daemon(&self) -> Option<u32> {
        match &self.kind {
            Kind::Daemon { process, .. } | Kind::Containerd { process, .. } => Some(process.id()),
            Kind::Dockerd(daemon) => Some(daemon.process().id()),
            _ => None,
        }
    }

    /// The socket at which it answers Docker's API, if it does.
    pub(super) fn api(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Daemon { runtime, .. } => Some(runtime.path().join(SOCKET)),
            Kind::Dockerd(daemon) => Some(daemon.host().trim_start_matches("unix://").into()),
            _ => None,
        }
    }

    /// Says whether it can take an image at all: dockerd 20.10 knows no zstd.
    pub(super) fn takes(&self, recipe: &Recipe) -> bool {
        !(recipe.is_zstd() && self.version().is_ok_and(|version| version.contains("version 20.")))
    }

    pub(super) fn version(&self) -> Result<String> {
        let program = match &self.kind {
            Kind::InProcess { binary, .. } | Kind::Daemon { binary, .. } => binary.clone(),
            Kind::Dockerd(_) => find_program("dockerd").unwrap_or_default(),
            Kind::Containerd { .. } => "containerd".into(),
            Kind::Podman { .. } => "podman".into(),
            Kind::Skopeo => "skopeo".into(),
        };
        Ok(output(Command::new(program).arg("--version"))?.trim().to_owned())
    }

    /// The client, with what says which store it works on.
    fn client(&self) -> Result<Command> {
        let mut command;
        match &self.kind {
            Kind::InProcess { binary, folder } => {
                command = longshore(binary, folder)?;
                command.arg("--data-root").arg(&self.store);
                command.args(["--storage-driver", "overlay2"]);
            }
            Kind::Daemon { binary, folder, runtime, .. } => {
                command = longshore(binary, folder)?;
                let socket = runtime.path().join(SOCKET);
                command.arg("--host").arg(format!("unix://{}", socket.display()));
            }
            Kind::Dockerd(daemon) => {
                command = Command::new("docker");
                command.arg("--host").arg(daemon.host());
            }
            Kind::Containerd { runtime, .. } => {
                command = Command::new("ctr");
                command.arg("--address").arg(runtime.path().join(SOCKET));
            }
            Kind::Podman { runtime } => {
                command = Command::new("podman");
                command.arg("--root").arg(&self.store).arg("--runroot").arg(runtime.path());
                command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
            }
            Kind::Skopeo => {
                command = Command::new("skopeo");
                command.arg("--insecure-policy");
            }
        }
        Ok(command)
    }

    pub(super) fn pull(&self, name: &str) -> Result<Command> {
        let mut command = self.client()?;
        match &self.kind {
            Kind::Containerd { .. } => {
                command.args(["images", "pull", "--plain-http", name]);
            }
            Kind::Podman { .. } => {
                command.args(["pull", "--quiet", "--tls-verify=false", name]);
            }
            Kind::Skopeo => {
                fs::create_dir_all(&self.store).context("cannot make skopeo's store")?;
                command.args(["copy", "--quiet", "--src-tls-verify=false"]);
                command.args([format!("docker://{name}"), self.layout()]);
            }
            _ => {
                command.args(["pull", "--quiet", name]);
            }
        }
        Ok(command)
    }

    /// Says whether it is a store of images behind docker's commands.
    pub(super) fn lists(&self) -> bool {
        matches!(self.kind, Kind::InProcess { .. } | Kind::Daemon { .. } | Kind::Dockerd(_))
    }

    /// Says whether it loads and saves archives by docker's commands.
    pub(super) fn has_archives(&self) -> bool {
        !matches!(self.kind, Kind::Skopeo | Kind::Containerd { .. })
    }

    /// The client with a command of docker's.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.client()?;
        command.args(arguments);
        Ok(command)
    }

    /// Gives the image the name that it is pushed as.
    pub(super) fn tag(&self, name: &str, target: &str) -> Result<()> {
        if matches!(self.kind, Kind::Skopeo) {
            return Ok(());
        }
        let words: &[&str] = if matches!(self.kind, Kind::Containerd { .. }) {
            &["images", "tag"]
        } else {
            &["tag"]
        };
        output(self.client()?.args(words).args([name, target])).map(drop)
    }

    pub(super) fn push(&self, target: &str) -> Result<Command> {
        let mut command = self.client()?;
        match &self.kind {
            Kind::Containerd { .. } => {
                command.args(["images", "push", "--plain-http", target]);
            }
            Kind::Podman { .. } => {
                command.args(["push", "--quiet", "--tls-verify=false", target]);
            }
            Kind::Skopeo => {
                command.args(["copy", "--quiet", "--dest-tls-verify=false"]);
                command.args([self.layout(), format!("docker://{target}")]);
            }
            _ => {
                command.args(["push", "--quiet", target]);
            }
        }
        Ok(command)
    }

    /// Empties the store, where a daemon has it open by its own means.
    pub(super) fn clear(&self) -> Result<()> {
        match &self.kind {
            Kind::Daemon { .. } | Kind::Dockerd(_) => {
                let images = output(self.client()?.args(["images", "--quiet", "--no-trunc"]))?;
                let mut ids: Vec<&str> = images.split_whitespace().collect();
                ids.sort_unstable();
                ids.dedup();
                if !ids.is_empty() {
                    output(self.client()?.args(["rmi", "--force"]).args(ids))?;
                }
                Ok(())
            }
            Kind::Containerd { .. } => {
                let images = output(self.client()?.args(["images", "list", "--quiet"]))?;
                let names: Vec<&str> = images.split_whitespace().collect();
                if !names.is_empty() {
                    output(self.client()?.args(["images", "remove", "--sync"]).args(names))?;
                }
                Ok(())
            }
            Kind::Podman { .. } => {
                output(self.client()?.args(["rmi", "--all", "--force"])).map(drop)
            }
            Kind::InProcess { .. } | Kind::Skopeo => empty(&self.store),
        }
    }

    fn layout(&self) -> String {
        format!("oci:{}:1", self.store.display())
    }
}

/// Removes what a folder holds.
pub(super) fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))
}
