//! Two daemons with the same images, and programs that run against them.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{DockerRegistry, Dockerd, Process};
use test_support::tar::Entry;
use tokio::runtime::Runtime;

use super::case::{Case, Rule};
use super::constant::{self, Start};
use super::normal;
use crate::support::{Home, noise};

/// The user of the private registry.
const USER: (&str, &str) = ("me", "secret");

/// The index's answer to every search.
const FOUND: &str = r#"{"num_results":2,"results":[
    {"name":"busybox","description":"Busybox base image, with more words than a column\nof a table holds.","star_count":3412,
     "is_official":true,"is_automated":false},
    {"name":"me/busybox","description":"","star_count":12,"is_official":false,"is_automated":false}]}"#;

/// A program to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Docker,
    Longshore,
}

/// A daemon that answers.
pub(super) struct Daemon {
    pub(super) name: &'static str,
    host: String,
    data_root: String,
}

/// All that the table needs.
pub(super) struct Stage {
    // Dropped in this order: the daemons stop before their folders go.
    _longshore: Process,
    _dockerd: Dockerd,
    registry: DockerRegistry,
    private: DockerRegistry,
    index: Scripted,
    _runtime: Runtime,
    _home: Home,
    /// Longshore's and the real one.
    pub(super) daemons: [Daemon; 2],
    rich: Image,
    start: Start,
}

/// The place of a program's configuration; both find it at the same path.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes the folder new, with the `config.json` that the line asks for.
    fn renew(&self, case: &Case) {
        let config = self.path().join("config");
        let _ = std::fs::remove_dir_all(&config);
        std::fs::create_dir(&config).unwrap();
        let document = json!({
            "imagesFormat": "{{.Repository}} has {{.ID}}",
            "auths": {"r.example": {"auth": "bWU6c2VjcmV0"}},
        });
        let text = match () {
            () if case.has(Rule::Configured) => document.to_string(),
            () if case.has(Rule::Broken) => "{".to_owned(),
            () => return,
        };
        std::fs::write(config.join("config.json"), text).unwrap();
    }
}

/// A program's output and exit status, as they are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The exit status; -1 of a program that a signal ended.
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Said {
    /// Says whether the program succeeded.
    pub(super) fn is_success(&self) -> bool {
        self.status == 0
    }

    /// Returns the lines of the standard output.
    pub(super) fn lines(&self) -> Vec<String> {
        self.stdout.lines().map(str::to_owned).collect()
    }
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Said { status, stdout, stderr } = self;
        write!(formatter, "status {status}\nstdout: {stdout:?}\nstderr: {stderr:?}")
    }
}

impl Stage {
    pub(super) fn new() -> Stage {
        let start = Start::now();
        let registry = DockerRegistry::builder().start().unwrap();
        let private = DockerRegistry::builder().password(USER.0, USER.1).start().unwrap();
        let runtime = Runtime::new().unwrap();
        let index = runtime.block_on(Scripted::start()).unwrap();
        index.on("GET", "/v1/_ping", [Answer::status(200).json("{}")]);
        index.on("GET", "/v1/search", [Answer::status(200).json(FOUND)]);
        let rich = rich_image();
        push_images(&registry, &rich);
        let home = Home::new();
        let socket = home.path().join("longshore.sock");
        let mut command = home.longshore();
        command.arg("daemon").arg("-H").arg(format!("unix://{}", socket.display()));
        let ready = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        let longshore = Process::start(command, &home.path().join("log"), ready).unwrap();
        let dockerd = Dockerd::builder().start().unwrap();
        let daemons = [
            Daemon {
                name: "longshore",
                host: format!("unix://{}", socket.display()),
                data_root: home.data_root().display().to_string(),
            },
            Daemon {
                name: "dockerd",
                host: dockerd.host(),
                data_root: dockerd.data_root().display().to_string(),
            },
        ];
        let stage = Stage {
            _longshore: longshore,
            _dockerd: dockerd,
            registry,
            private,
            index,
            _runtime: runtime,
            _home: home,
            daemons,
            rich,
            start,
        };
        stage.prepare();
        stage
    }

    /// Brings the same images to both daemons.
    fn prepare(&self) {
        let folder = Folder::new();
        for daemon in &self.daemons {
            for case in self.cases(&[("stage", include_str!("stage.txt"))]) {
                let said = Stage::run(daemon, &folder, Program::Docker, &case);
                assert!(said.is_success(), "{}: {said}", case.key.text);
            }
        }
    }

    /// Reads tables with the facts of this stage in them.
    pub(super) fn cases(&self, tables: &[(&'static str, &str)]) -> Vec<Case> {
        let id = self.rich.id().to_string();
        let facts = [
            ("$R", self.registry.address().to_owned()),
            ("$P", self.private.address().to_owned()),
            ("$INDEX", self.index.host()),
            ("$HEX", id["sha256:".len()..].to_owned()),
            ("$SHORT", id["sha256:".len()..][..12].to_owned()),
            ("$ID", id),
            ("$DIGEST", self.rich.manifest.digest.to_string()),
        ];
        let fill = |word: &str| {
            facts.iter().fold(word.to_owned(), |word, (name, fact)| word.replace(name, fact))
        };
        tables.iter().flat_map(|(table, text)| Case::read(table, text, fill)).collect()
    }

    /// Returns what was said with names for what is another at each run.
    pub(super) fn constant(
        &self,
        said: &Said,
        daemon: &Daemon,
        folder: &Folder,
        case: &Case,
    ) -> Said {
        let index = self.index.host();
        let socket = daemon.host.trim_start_matches("unix://");
        let home = folder.path().display().to_string();
        let names = [
            (self.registry.address(), "$R"),
            (self.private.address(), "$P"),
            (index.as_str(), "$INDEX"),
            (socket, "$SOCKET"),
            (daemon.data_root.as_str(), "$ROOT"),
            (home.as_str(), "$HOME"),
        ];
        let text = |text: &str| {
            let text = constant::text(text, &names, &self.start);
            // Sorted anew: a name is sorted elsewhere than what it stands for.
            normal::sorted(case, &text)
        };
        Said { status: said.status, stdout: text(&said.stdout), stderr: text(&said.stderr) }
    }

    /// Does what stands before the line, then runs it.
    pub(super) fn run(daemon: &Daemon, folder: &Folder, program: Program, case: &Case) -> Said {
        folder.renew(case);
        for arguments in &case.before {
            let arguments = arguments.iter().map(|word| placed(word, daemon, program));
            command(daemon, folder, Program::Docker, false).args(arguments).output().unwrap();
        }
        let mut command = command(daemon, folder, program, case.has(Rule::Hostless));
        command.args(case.arguments.iter().map(|word| placed(word, daemon, program)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input is judged by what it says.
        let mut stdin = child.stdin.take().unwrap();
        let _ = std::io::Write::write_all(&mut stdin, case.input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| normal::text(program, case, &String::from_utf8_lossy(bytes));
        Said {
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Docker => "docker",
            Program::Longshore => "longshore",
        }
    }
}

/// Puts who runs, and on what, into a word.
fn placed(word: &str, daemon: &Daemon, program: Program) -> String {
    word.replace("$WHO", program.name()).replace("$DAEMON", daemon.name)
}

fn command(daemon: &Daemon, folder: &Folder, program: Program, hostless: bool) -> Command {
    let mut command = Command::new(match program {
        Program::Docker => "docker",
        Program::Longshore => env!("CARGO_BIN_EXE_longshore"),
    });
    if !hostless {
        command.args(["-H", &daemon.host]);
    }
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.path())
        .env("DOCKER_CONFIG", folder.path().join("config"))
        .env("TZ", "Europe/Berlin")
        .current_dir(folder.path());
    command
}

/// An image with a config of many words.
fn rich_image() -> Image {
    let layer = |seed, name: &str| {
        let entries = [Entry::directory("app"), Entry::file(name, noise(seed, 3_000))];
        Layer::new(Compression::Gzip, &entries)
    };
    Image::builder()
        .layer(layer(1, "app/one"))
        .layer(layer(2, "app/two"))
        .layer(layer(3, "app/three"))
        .label("org.example.title", "Rich & <famous>")
        .label("plain", "")
        .config("User", json!("app:staff"))
        .config("ExposedPorts", json!({"80/tcp": {}, "53/udp": {}}))
        .config("Volumes", json!({"/data": {}}))
        .config("Entrypoint", json!(["/bin/sh", "-c"]))
        .config("WorkingDir", json!("/app"))
        .config("StopSignal", json!("SIGTERM"))
        .config("OnBuild", json!(["RUN echo \"on build\""]))
        .config(
            "Healthcheck",
            json!({"Test": ["CMD", "true"], "Interval": 30_000_000_000_i64, "Retries": 3}),
        )
        .created("2023-11-14T22:13:20.123456789Z")
        .build()
}

/// A small image; each was made a day after the one before, as lists are in the order of that.
fn small(seed: u64) -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("data", noise(seed + 100, 2_000))]);
    Image::builder().layer(layer).created(&format!("2024-02-0{seed}T00:00:00Z")).build()
}

fn push_images(registry: &DockerRegistry, rich: &Image) {
    let client = registry.client();
    rich.push(&client, "rich", "1").unwrap();
    for (seed, tag) in [(1, "1"), (1, "same"), (2, "2"), (3, "latest")] {
        small(seed).push(&client, "small", tag).unwrap();
    }
    let of = |architecture: &str, seed| {
        let mut platform = spec::Platform::host();
        architecture.clone_into(&mut platform.architecture);
        let layer = Layer::new(Compression::Gzip, &[Entry::file("arch", noise(seed, 500))]);
        Image::builder().platform(platform).format(Format::Oci).layer(layer).build()
    };
    let index = Index::new(Format::Oci, vec![of("amd64", 7), of("arm64", 8), of("s390x", 9)]);
    index.push(&client, "many/platforms", "latest").unwrap();
}
