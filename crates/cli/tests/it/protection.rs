//! Protections that are asked for, and those that nobody has to ask for.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::json;
use test_support::image::{Compression, Image, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{LocalRegistry, Process, installed};
use test_support::tar::Entry;

use super::support::{Bench, Done, Front, Home, run, small_image};

/// Text that would clear a terminal, in two ways, and turn the order of the rest.
const STEERS: &str = "a\x1b[2Jb\u{9b}2Jc\u{202e}d";

#[test]
fn a_daemon_does_not_run_without_a_protection_that_was_asked_for() {
    let home = Home::new();
    let file = home.path().join("daemon.json");
    let socket = format!("unix://{}", home.path().join("never.sock").display());
    for (name, text, flags) in [
        (
            "authorization-plugins",
            r#"{"authorization-plugins": ["x"]}"#,
            ["--authorization-plugin", "x"],
        ),
        ("userns-remap", r#"{"userns-remap": "default"}"#, ["--userns-remap", "default"]),
    ] {
        fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        for arguments in [
            &["daemon", "-H", &socket, "--config-file", path][..],
            &["daemon", "-H", &socket, "--validate", "--config-file", path],
            &["daemon", "-H", &socket, flags[0], flags[1]],
            // Without a daemon nobody is asked, either.
            &["images", "--config-file", path],
        ] {
            let said = home.run(arguments).failure();
            let sentence = format!("{name} is not supported (");
            assert!(said.contains(&sentence), "{arguments:?}: {said}");
        }
    }
    assert!(!home.data_root().exists(), "nothing was opened");
}

#[test]
fn a_reload_that_asks_for_a_protection_is_refused() {
    let home = Home::new();
    let (file, socket) = (home.path().join("daemon.json"), home.path().join("l.sock"));
    fs::write(&file, r#"{"labels": ["a=1"]}"#).unwrap();
    let mut command = home.longshore();
    command.arg("daemon").arg("--config-file").arg(&file);
    command.arg("-H").arg(format!("unix://{}", socket.display()));
    let ready = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    let daemon = Process::start(command, &home.path().join("log"), ready).unwrap();
    fs::write(&file, r#"{"labels": ["a=2"], "authorization-plugins": ["x"]}"#).unwrap();
    let id = rustix::process::Pid::from_raw(daemon.id().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    while !daemon.log().contains("Error reloading configuration") {
        std::thread::yield_now();
    }
    assert!(daemon.log().contains("authorization-plugins is not supported"), "{}", daemon.log());
    let mut info = home.clean(env!("CARGO_BIN_EXE_longshore"));
    info.args(["-H", &format!("unix://{}", socket.display()), "info", "-f", "{{.Labels}}"]);
    assert_eq!(run(&mut info, "").success(), "[a=1]\n", "the daemon goes on as it was");
}

/// A daemon at a port of its own choice; its address.
fn over_tcp(flags: &[&str]) -> (Bench, String) {
    let bench = Bench::new(Front::Longshore, &[&["-H", "tcp://127.0.0.1:0"], flags].concat());
    let log = bench.home.path().join("daemon.log");
    // The daemon's own socket answers before the line about the other is written.
    let address = loop {
        let log = fs::read_to_string(&log).unwrap();
        if let Some((_, rest)) = log.split_once("address=tcp://")
            && let Some((address, _)) = rest.split_once(char::is_whitespace)
        {
            break address.to_owned();
        }
        std::thread::yield_now();
    };
    (bench, address)
}

/// Sends a request as a page or a program would, and returns the answer.
fn post(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn over_plain_tcp_longshores_own_routes_are_closed_unless_allowed() {
    let registry = LocalRegistry::start().unwrap();
    small_image(1).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let page = "Origin: https://other.example\r\nContent-Type: text/plain\r\n";
    for (flags, allowed) in [(&[][..], false), (&["--insecure-tcp-routes"], true)] {
        let (bench, address) = over_tcp(flags);
        bench.run(&["pull", "-q", &name]).success();
        let target = bench.home.path().join("target");
        let path = format!("/longshore/unpack?image={name}&directory={}", target.display());
        let said = post(&address, &path, page);
        assert!(said.starts_with("HTTP/1.1 403"), "{said}");
        assert!(!target.exists());
        let pull = format!("/images/create?fromImage={name}");
        assert!(post(&address, &pull, page).starts_with("HTTP/1.1 403"));
        assert!(post(&address, &pull, "").starts_with("HTTP/1.1 200"));
        let said = post(&address, &path, "");
        assert_eq!(said.starts_with("HTTP/1.1 200"), allowed, "{said}");
        assert_eq!(target.exists(), allowed);
        // What the daemon does not answer there, the command asks by itself, as docker does.
        let mut inspect = bench.home.clean(env!("CARGO_BIN_EXE_longshore"));
        inspect.args(["-H", &format!("tcp://{address}"), "manifest", "inspect", &name]);
        assert!(run(&mut inspect, "").success().contains("\"layers\""));
        let mut check = bench.home.clean(env!("CARGO_BIN_EXE_longshore"));
        check.args(["-H", &format!("tcp://{address}"), "system", "check"]);
        let done = run(&mut check, "");
        assert_eq!(done.ok, allowed, "{done:?}");
        assert_eq!(done.stderr.contains("insecure-tcp-routes"), !allowed, "{done:?}");
    }
}

/// Runs the binary on a terminal and returns all that is shown there.
fn on_terminal(home: &Home, arguments: &[&str]) -> String {
    let quoted = |word: &&str| format!("'{}'", word.replace('\'', "'\\''"));
    let words: Vec<String> = arguments.iter().map(quoted).collect();
    let line = format!(
        "{} --data-root {} {}",
        env!("CARGO_BIN_EXE_longshore"),
        home.data_root().display(),
        words.join(" ")
    );
    let mut command: Command = home.clean("script");
    command
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm");
    run(&mut command, "").stdout
}

#[tokio::test]
async fn what_images_and_registries_say_does_not_steer_a_terminal() {
    if !installed(&["script"]) {
        println!("skipped: needs script");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let layer = Layer::new(Compression::Gzip, &[Entry::file("a", *b"a")]);
    let host = spec::Platform::host();
    let document = json!({
        "os": host.os, "architecture": host.architecture, "created": "2024-01-01T00:00:00Z", "author": STEERS,
        "config": {"Cmd": [STEERS], "Labels": {"steers": STEERS}},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": STEERS, "comment": STEERS}],
    });
    let image = Image::builder().layer(layer).document(document).build();
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let home = Home::new();
    home.run(&["pull", "-q", &name]).success();
    let label = r#"{{index .Config.Labels "steers"}}"#;
    for arguments in [
        &["history", "--no-trunc", &name][..],
        &["history", "--format", "{{.CreatedBy}}", "--no-trunc", &name],
        &["inspect", "-f", label, &name],
        &["inspect", "-f", "{{.Author}}{{.Config.Cmd}}", &name],
        &["inspect", &name],
        &["images", "--format", "json"],
    ] {
        let shown = on_terminal(&home, arguments);
        assert!(!shown.is_empty() && is_calm(&shown), "{arguments:?}: {shown:?}");
    }
    let piped = home.run(&["inspect", "-f", label, &name]).success();
    assert_eq!(piped, format!("{STEERS}\n"), "a pipe gets the bytes");
    let own = on_terminal(&home, &["inspect", "-f", "\x1b[32m{{.Os}}\x1b[0m", &name]);
    assert_eq!(own, "\x1b[32mlinux\x1b[0m\r\n", "colours of the command line are shown");

    let server = Scripted::start().await.unwrap();
    server.on("GET", "/v2/", [Answer::status(200)]);
    let denied = Answer::error(404, "MANIFEST_UNKNOWN", STEERS);
    server.on("HEAD", "/v2/x/manifests/1", [denied.clone()]).on(
        "GET",
        "/v2/x/manifests/1",
        [denied],
    );
    let found = json!({"num_results": 1, "results": [{"name": STEERS, "description": STEERS}]});
    server.on("GET", "/v1/_ping", [Answer::status(200).json("{}")]);
    server.on("GET", "/v1/search", [Answer::status(200).json(found.to_string())]);
    let host = server.host();
    let shown = tokio::task::spawn_blocking(move || {
        [
            on_terminal(&home, &["pull", &format!("{host}/x:1")]),
            on_terminal(&home, &["search", "--no-trunc", &format!("{host}/x")]),
        ]
    });
    for shown in shown.await.unwrap() {
        assert!(shown.contains("[2Jb") && is_calm(&shown), "{shown:?}");
    }
}

/// Says whether nothing steers a terminal in what is shown on one.
fn is_calm(shown: &str) -> bool {
    !shown.contains(['\x1b', '\u{9b}', '\u{202e}'])
}

#[test]
fn what_is_not_signed_does_not_get_in_by_name() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&registry.client(), "app", "1").unwrap();
    let host = registry.address();
    let (name, by_digest) =
        (format!("{host}/app:1"), format!("{host}/app@{}", image.manifest.digest));
    let home = Home::new();
    let layout = format!("oci:{}", home.path().join("layout").display());
    let listed = home.path().join("sync.toml");
    let entry = format!("[[copy]]\nsource = \"docker://{name}\"\ntargets = [\"{layout}\"]\n");
    fs::write(&listed, entry).unwrap();
    // Nobody is there.
    let server = "https://127.0.0.1:1";
    let with = |value: &str, arguments: &[&str]| -> Done {
        let mut command = home.longshore();
        command.env("DOCKER_CONTENT_TRUST", value).env("DOCKER_CONTENT_TRUST_SERVER", server);
        run(command.args(arguments), "")
    };
    for arguments in [
        &["pull", &name][..],
        &["pull", "-q", &name],
        &["image", "pull", &name],
        &["pull", "-a", &format!("{host}/app")],
    ] {
        let said = with("1", arguments).failure();
        assert!(
            said.starts_with("Error: error contacting notary server: dial tcp 127.0.0.1:1"),
            "{arguments:?}: {said}"
        );
        let mut flagged = arguments.to_vec();
        flagged.push("--disable-content-trust=false");
        assert_eq!(with("0", &flagged).failure(), said, "{flagged:?}");
    }
    for arguments in [
        &["copy", &name, &layout][..],
        &["copy", "--all-tags", &format!("{host}/app"), &layout],
        &["sync", listed.to_str().unwrap()],
    ] {
        let said = with("1", arguments).failure();
        assert!(said.contains("notary") || said.contains("one by one"), "{arguments:?}: {said}");
    }
    assert!(!home.data_root().join("image").exists(), "nothing was fetched");
    assert!(!home.path().join("layout").exists());
    with("1", &["pull", &by_digest]).success();
    with("1", &["copy", &by_digest, &layout]).success();
    with("1", &["pull", "--disable-content-trust", &name]).success();
    with("1", &["push", "--disable-content-trust=true", &name]).success();
    with("false", &["pull", &name]).success();
    with("1", &["images", "-q"]).success();
}

#[test]
fn what_is_about_registries_alone_needs_no_data_root() {
    let registry = LocalRegistry::start().unwrap();
    small_image(1).push(&registry.client(), "app", "1").unwrap();
    let host = registry.address().to_string();
    let home = Home::new();
    // Nothing can be made below a file.
    fs::write(home.data_root(), "").unwrap();
    for arguments in [
        &["version"][..],
        &["login", "-u", "me", "-p", "secret", &host],
        &["logout", &host],
        &["manifest", "inspect", &format!("{host}/app:1")],
        &["registry", "check", &format!("{host}/app:1")],
    ] {
        home.run(arguments).success();
    }
    let said = home.run(&["search", "127.0.0.1:1/x"]).failure();
    assert!(said.contains("127.0.0.1:1") && !said.contains("data"), "{said}");
    home.run(&["images"]).failure();
    assert_eq!(fs::read(home.data_root()).unwrap(), b"");
}

#[test]
fn a_data_root_may_be_named_by_a_variable() {
    let registry = LocalRegistry::start().unwrap();
    small_image(1).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let home = Home::new();
    let run_with = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        command
            .env("LONGSHORE_DATA_ROOT", home.path().join("named"))
            .envs(variables.iter().copied());
        run(command.args(arguments), "")
    };
    let count = |done: Done| done.success().lines().count();
    run_with(&[], &["pull", "-q", &name]).success();
    assert!(home.path().join("named/image").is_dir());
    // It chooses the engine of this process, as the flag does, but for a daemon that is named for Longshore.
    let nobody = "unix:///nowhere.sock";
    assert_eq!(count(run_with(&[("DOCKER_HOST", nobody)], &["images", "-q"])), 1);
    run_with(&[("LONGSHORE_HOST", nobody)], &["images", "-q"]).failure();
    run_with(&[], &["-H", nobody, "images", "-q"]).failure();
    let other = home.path().join("other");
    assert_eq!(count(run_with(&[], &["--data-root", other.to_str().unwrap(), "images", "-q"])), 0);
    assert!(run_with(&[], &["images", "--help"]).success().contains("LONGSHORE_DATA_ROOT"));
}
