//! Daemons over TLS, with the command lines of both, and docker's contexts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use test_support::scripted::Identity;
use test_support::servers::{Process, installed};

use super::equality::docker_is_the_recorded_one;
use super::support::{Done, Home, run};

/// A daemon on a TCP port of its own choice, and the files to reach it.
struct Secured {
    daemon: Process,
    home: Home,
    identity: Identity,
    address: String,
}

impl Secured {
    fn start(flags: &[&str]) -> Self {
        let home = Home::new();
        let identity = Identity::new(&["localhost", "127.0.0.1"]).unwrap();
        let files = home.path().join("server");
        fs::create_dir(&files).unwrap();
        for (name, text) in [
            ("ca.pem", &identity.authority),
            ("cert.pem", &identity.server_certificate),
            ("key.pem", &identity.server_key),
        ] {
            fs::write(files.join(name), text).unwrap();
        }
        let log = home.path().join("daemon.log");
        let mut command = home.longshore();
        command.args(["daemon", "-H", "tcp://127.0.0.1:0"]).args(flags);
        command.env("DOCKER_CERT_PATH", files);
        let listens = || address(&fs::read_to_string(&log).unwrap_or_default());
        let daemon = Process::start(command, &log, || listens().is_some()).unwrap();
        let address = listens().unwrap();
        Self { daemon, home, identity, address }
    }

    /// A folder as docker's with the files of a client; without a certificate that is none.
    fn client_files(&self, name: &str, certificate: bool) -> PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("ca.pem"), &self.identity.authority).unwrap();
        if certificate {
            fs::write(folder.join("cert.pem"), &self.identity.client_certificate).unwrap();
            fs::write(folder.join("key.pem"), &self.identity.client_key).unwrap();
        }
        folder
    }

    fn command(&self, program: &str) -> Command {
        self.home.clean(program)
    }
}

/// The address in a daemon's log.
fn address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("API listens"))?;
    Some(line.split_once("address=")?.1.trim().to_owned())
}

fn clients() -> Vec<&'static str> {
    let own = env!("CARGO_BIN_EXE_longshore");
    if installed(&["docker"]) { vec![own, "docker"] } else { vec![own] }
}

/// Asks for images with variables of the environment.
fn ask(secured: &Secured, program: &str, variables: &[(&str, &str)]) -> Done {
    let mut command = secured.command(program);
    command.args(["images", "-q"]).envs(variables.iter().copied());
    run(&mut command, "")
}

#[test]
fn only_who_has_a_certificate_is_served() {
    let secured = Secured::start(&["--tlsverify"]);
    let with = secured.client_files("with", true).display().to_string();
    let without = secured.client_files("without", false).display().to_string();
    let host = ("DOCKER_HOST", secured.address.as_str());
    for program in clients() {
        let verify = ("DOCKER_TLS_VERIFY", "1");
        ask(&secured, program, &[host, verify, ("DOCKER_CERT_PATH", &with)]).success();
        let refused = ask(&secured, program, &[host, verify, ("DOCKER_CERT_PATH", &without)]);
        let said = refused.failure().to_lowercase().replace(' ', "");
        assert!(said.contains("certificaterequired"), "{program}: {said}");
        let said = ask(&secured, program, &[host]).failure();
        assert!(said.contains("TLS"), "{program}: {said}");

        let file = |name: &str| format!("{with}/{name}.pem");
        let flags =
            ["--tlscacert", &file("ca"), "--tlscert", &file("cert"), "--tlskey", &file("key")];
        let mut command = secured.command(program);
        command.arg("--tlsverify").args(flags).args(["-H", &secured.address, "version"]);
        let told = run(&mut command, "").success();
        assert!(told.contains("Server: Longshore"), "{told}");
    }
    assert!(!secured.daemon.log().contains("without --tlsverify"), "{}", secured.daemon.log());
}

#[test]
fn a_daemon_of_another_authority_is_not_trusted() {
    let secured = Secured::start(&["--tlsverify=false"]);
    let stranger = Identity::new(&["localhost"]).unwrap();
    let folder = secured.client_files("client", false);
    let files = folder.display().to_string();
    let host = ("DOCKER_HOST", secured.address.as_str());
    for program in clients() {
        fs::write(folder.join("ca.pem"), &secured.identity.authority).unwrap();
        let verify = ("DOCKER_TLS_VERIFY", "1");
        ask(&secured, program, &[host, verify, ("DOCKER_CERT_PATH", &files)]).success();
        fs::write(folder.join("ca.pem"), &stranger.authority).unwrap();
        let said = ask(&secured, program, &[host, verify, ("DOCKER_CERT_PATH", &files)]).failure();
        assert!(said.contains("certificate"), "{program}: {said}");
        // Who asks for no verification gets none.
        ask(&secured, program, &[host, ("DOCKER_TLS", "1"), ("DOCKER_CERT_PATH", &files)])
            .success();
    }
    assert!(secured.daemon.log().contains("without --tlsverify"), "{}", secured.daemon.log());
    let own = env!("CARGO_BIN_EXE_longshore");
    let mut info = secured.command(own);
    info.args(["--tls", "--tlscacert"]).arg(folder.join("ca.pem"));
    info.args(["-H", &secured.address, "info", "--format", "{{json .Warnings}}"]);
    let warnings = run(&mut info, "").success();
    assert!(warnings.contains("without TLS client verification"), "{warnings}");
}

#[test]
fn dockers_contexts_lead_to_the_daemon() {
    if !installed(&["docker"]) {
        println!("skipped: needs docker, which makes contexts");
        return;
    }
    let secured = Secured::start(&["--tlsverify"]);
    let files = secured.client_files("client", true).display().to_string();
    let docker = |arguments: &[&str]| run(secured.command("docker").args(arguments), "");
    let endpoint = format!(
        "host={},ca={files}/ca.pem,cert={files}/cert.pem,key={files}/key.pem",
        secured.address
    );
    docker(&["context", "create", "far", "--docker", &endpoint]).success();
    let own = env!("CARGO_BIN_EXE_longshore");
    let template = "{{.Client.Context}} {{.Server.Platform.Name}}";
    let version = |flags: &[&str]| {
        run(secured.command(own).args(flags).args(["version", "--format", template]), "")
    };
    assert_eq!(version(&["-c", "far"]).success(), "far Longshore\n");
    docker(&["context", "use", "far"]).success();
    assert_eq!(version(&[]).success(), "far Longshore\n");
    let mut renamed = secured.command(own);
    renamed.args(["images", "-q"]).env("DOCKER_CONTEXT", "gone");
    let said = run(&mut renamed, "").failure();
    let expected = format!(
        "Failed to initialize: unable to resolve docker endpoint: context \"gone\": context not found: open \
         {}/config/contexts/meta/{}/meta.json: no such file or directory\n",
        secured.home.path().display(),
        spec::Digest::sha256(b"gone").hex()
    );
    assert_eq!(said, expected);
    if docker_is_the_recorded_one() {
        let mut gone = secured.command("docker");
        gone.args(["images", "-q"]).env("DOCKER_CONTEXT", "gone");
        assert_eq!(said, run(&mut gone, "").failure());
    }
}

#[test]
fn certificates_are_renewed_without_a_restart() {
    let secured = Secured::start(&["--tlsverify"]);
    let files = secured.client_files("client", true).display().to_string();
    let own = env!("CARGO_BIN_EXE_longshore");
    let variables = [
        ("DOCKER_HOST", secured.address.as_str()),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", &files),
    ];
    ask(&secured, own, &variables).success();
    let other = Identity::new(&["127.0.0.1"]).unwrap();
    let server = secured.home.path().join("server");
    fs::write(server.join("cert.pem"), &other.server_certificate).unwrap();
    fs::write(server.join("key.pem"), &other.server_key).unwrap();
    let daemon = rustix::process::Pid::from_raw(secured.daemon.id().cast_signed()).unwrap();
    rustix::process::kill_process(daemon, rustix::process::Signal::HUP).unwrap();
    while !secured.daemon.log().contains("Reloaded configuration") {
        std::thread::yield_now();
    }
    let said = ask(&secured, own, &variables).failure();
    assert!(said.contains("invalid peer certificate"), "{said}");
}
