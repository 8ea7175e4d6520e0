//! Debian's `dockerd`, with nothing of it outside of one folder. It needs root.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::find_program;
use super::process::Process;

/// A running `dockerd`.
#[derive(Debug)]
pub struct Dockerd {
    // Dropped in this order: the daemon stops before its folder goes.
    process: Process,
    socket: PathBuf,
    data_root: PathBuf,
    _folder: TempDir,
}

/// Settings of a [`Dockerd`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DockerdBuilder {
    data_root: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(OsString, OsString)>,
}

impl Dockerd {
    /// Begins with an empty data root of its own.
    pub fn builder() -> DockerdBuilder {
        DockerdBuilder::default()
    }

    /// Returns its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns its address, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns its data root.
    pub fn data_root(&self) -> &Path {
        &self.data_root
    }

    /// Returns the process, to measure it or to read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Runs the stock `docker` against it; an error holds what it said.
    pub fn docker<S: AsRef<OsStr>>(&self, arguments: &[S]) -> io::Result<Output> {
        let output = Command::new("docker").arg("-H").arg(self.host()).args(arguments).output()?;
        if output.status.success() {
            return Ok(output);
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

impl DockerdBuilder {
    /// Keeps its images in this folder.
    pub fn data_root(mut self, folder: &Path) -> DockerdBuilder {
        self.data_root = Some(folder.to_owned());
        self
    }

    /// Adds an argument, for example `--registry-mirror=http://127.0.0.1:5000`.
    pub fn argument(mut self, argument: impl Into<String>) -> DockerdBuilder {
        self.arguments.push(argument.into());
        self
    }

    /// Sets environment variables.
    pub fn environment(mut self, variables: Vec<(OsString, OsString)>) -> DockerdBuilder {
        self.environment = variables;
        self
    }

    /// Starts it. It neither touches the firewall nor makes a network.
    pub fn start(&self) -> io::Result<Dockerd> {
        let program = find_program("dockerd").ok_or(io::ErrorKind::NotFound)?;
        let folder = tempfile::tempdir()?;
        let inside = |name: &str| folder.path().join(name);
        let data_root = self.data_root.clone().unwrap_or_else(|| inside("data"));
        let socket = inside("docker.sock");
        // The machine's own daemon.json is none of ours.
        fs::write(inside("daemon.json"), "{}")?;
        let mut command = Command::new(program);
        command
            .arg("--config-file")
            .arg(inside("daemon.json"))
            .arg("--data-root")
            .arg(&data_root)
            .arg("--exec-root")
            .arg(inside("exec"))
            .arg("--pidfile")
            .arg(inside("pid"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--storage-driver=overlay2", "--log-level=warn"])
            .args(&self.arguments)
            .envs(self.environment.iter().cloned());
        let ready = || is_serving(&socket);
        let process = Process::start(command, &inside("log"), ready)?;
        Ok(Dockerd { process, socket, data_root, _folder: folder })
    }
}

/// The socket takes connections before the daemon answers: `GET /_ping` must.
fn is_serving(socket: &Path) -> bool {
    use std::io::{Read as _, Write as _};
    let ping = || -> io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.ends_with(b" 200"))
    };
    ping().unwrap_or(false)
}
