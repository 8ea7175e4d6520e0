//! The binary with a data root and a configuration of its own, in-process or as a daemon.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use test_support::image::{Compression, Image, Layer};
use test_support::servers::Process;
use test_support::tar::Entry;

/// Says whether tests that need root can run.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The output of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            ok: output.status.success(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Insists on success and returns what was printed.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert!(self.ok, "failed\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Insists on failure and returns the error.
    #[track_caller]
    pub(crate) fn failure(self) -> String {
        assert!(!self.ok, "succeeded\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Drops the advice below errors, which docker has not.
pub(crate) fn without_hints(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with("hint: ")).collect()
}

/// Runs a program with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A command that fails before it reads is judged by what it says.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Done::of(&child.wait_with_output().unwrap())
}

/// A data root and a configuration folder that are gone afterwards.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_root(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Prepares a command that knows nothing of the machine's own configuration.
    pub(crate) fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path())
            .env("DOCKER_CONFIG", self.path().join("config"));
        command
    }

    /// Prepares the binary, in-process on the data root.
    pub(crate) fn longshore(&self) -> Command {
        let mut command = self.clean(env!("CARGO_BIN_EXE_longshore"));
        command.arg("--data-root").arg(self.data_root());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        run(self.longshore().args(arguments), "")
    }
}

/// A client and its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// `longshore` alone.
    InProcess,
    /// `longshore` to its daemon.
    Longshore,
    /// The stock docker CLI to the daemon of `longshore`.
    Docker,
}

pub(crate) const FRONTS: [Front; 3] = [Front::InProcess, Front::Longshore, Front::Docker];

/// An engine and a command line to it.
#[derive(Debug)]
pub(crate) struct Bench {
    // Dropped in this order: the daemon stops before its folder goes.
    daemon: Option<Process>,
    pub(crate) home: Home,
    front: Front,
    flags: Vec<String>,
}

impl Bench {
    /// Starts what `front` needs; `flags` are the engine's.
    pub(crate) fn new(front: Front, flags: &[&str]) -> Self {
        let home = Home::new();
        let socket = home.path().join("longshore.sock");
        let daemon = (front != Front::InProcess).then(|| {
            let mut command = home.longshore();
            command.arg("daemon").arg("-H").arg(format!("unix://{}", socket.display())).args(flags);
            let log = home.path().join("daemon.log");
            let ready = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
            Process::start(command, &log, ready).unwrap()
        });
        let flags = flags.iter().map(ToString::to_string).collect();
        Self { daemon, home, front, flags }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        run(self.command().args(arguments), input)
    }

    /// Stops the daemon, if there is one, and returns its folder.
    pub(crate) fn into_home(self) -> Home {
        drop(self.daemon);
        self.home
    }

    /// Prepares a command line to the engine.
    pub(crate) fn command(&self) -> Command {
        let host = format!("unix://{}", self.home.path().join("longshore.sock").display());
        match self.front {
            Front::InProcess => {
                let mut command = self.home.longshore();
                command.args(&self.flags);
                command
            }
            Front::Longshore => {
                let mut command = self.home.clean(env!("CARGO_BIN_EXE_longshore"));
                command.args(["-H", &host]);
                command
            }
            Front::Docker => {
                let mut command = self.home.clean("docker");
                command.args(["-H", &host]);
                command
            }
        }
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A small image of two layers; images of different seeds share the lower one.
pub(crate) fn small_image(seed: u64) -> Image {
    let base = Layer::new(
        Compression::Gzip,
        &[Entry::directory("etc"), Entry::file("etc/base", noise(1, 30_000))],
    );
    let top = Layer::new(
        Compression::Gzip,
        &[Entry::directory("app"), Entry::file("app/data", noise(seed + 100, 20_000))],
    );
    Image::builder().layer(base).layer(top).build()
}

/// The files of a folder below `path`, as paths relative to it; empty if there is none.
pub(crate) fn files_below(path: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(path).unwrap().display().to_string();
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Insists that a store holds exactly `image` and nothing that an interrupted operation left.
#[track_caller]
pub(crate) fn assert_holds_only(data_root: &Path, image: &Image) {
    let own = data_root.join("longshore");
    for folder in ["ingest", "staging", "leases", "trash"] {
        assert_eq!(files_below(&own.join(folder)), [""; 0], "{folder}");
    }
    let mut blobs: Vec<String> = image
        .blobs()
        .chain([&image.manifest])
        .map(|blob| format!("sha256/{}", blob.digest.hex()))
        .collect();
    blobs.sort();
    blobs.dedup();
    assert_eq!(files_below(&own.join("content/blobs")), blobs);
    let count = |folder: PathBuf| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let driver = if is_root() { "overlay2" } else { "packed" };
    let layers = image.layers.len();
    assert_eq!(count(data_root.join("image").join(driver).join("layerdb/sha256")), layers);
    if is_root() {
        assert_eq!(count(data_root.join("overlay2")), layers + 1, "layers and the folder of links");
        assert_eq!(count(data_root.join("overlay2/l")), layers);
    }
}
