//! A daemon as one operates it: the service manager, reloads, metrics, crowds of clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use test_support::servers::{LocalRegistry, Process};

use super::support::{Bench, Front, Home, run, small_image, without_hints};

/// More than the 512 connections that some servers take, and fewer than the files that a test may open by default.
const CROWD: usize = 600;

/// The value after `key` in a log, once it is there.
fn logged(log: &str, key: &str) -> Option<String> {
    let rest = log.split_once(key)?.1;
    let value = rest.split_whitespace().next()?;
    Some(value.to_owned())
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_socket_of_the_service_manager_is_served_and_left() {
    let home = Home::new();
    let socket = home.path().join("activated.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let told = UnixDatagram::bind(home.path().join("notify")).unwrap();
    // As a service manager does it: the socket is the file 3, and the process knows that it is meant.
    let own = format!(
        "LISTEN_PID=$$ LISTEN_FDS=1 exec {} --data-root {} daemon -H fd:// 3<&0 0</dev/null 2>{}",
        env!("CARGO_BIN_EXE_longshore"),
        home.data_root().display(),
        home.path().join("log").display(),
    );
    let mut command = home.clean("sh");
    command.args(["-c", &own]).env("NOTIFY_SOCKET", home.path().join("notify"));
    command.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    let mut daemon = command.spawn().unwrap();
    let heard = || {
        let mut message = [0; 128];
        let length = told.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    let mut images = home.clean(env!("CARGO_BIN_EXE_longshore"));
    images.args(["-H", &format!("unix://{}", socket.display()), "images", "-q"]);
    run(&mut images, "").success();
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(heard(), "READY=1");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(heard(), "STOPPING=1");
    assert!(daemon.wait().unwrap().success());
    // It is the service manager's, who listens on for the next start.
    assert!(UnixStream::connect(&socket).is_ok());
}

#[test]
fn without_a_service_manager_its_sockets_are_missed_in_dockerds_words() {
    let said = Home::new().run(&["daemon", "-H", "fd://"]).failure();
    let expected = "failed to load listeners: no sockets found via socket activation: make sure the service was started \
                    by systemd";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_configuration_is_validated_without_a_daemon() {
    let home = Home::new();
    let file = home.path().join("daemon.json");
    let validate = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        command.arg("daemon").arg("--validate").arg("--config-file").arg(&file);
        run(&mut command, "")
    };
    let good = validate(r#"{"registry-mirrors": ["https://m"]}"#);
    assert!(good.ok && good.stderr == "configuration OK\n", "{good:?}");
    let other = validate(r#"{"live-restore": true, "registry-mirrors": ["https://m"]}"#);
    assert!(
        other.ok && other.stderr.ends_with("nothing here: live-restore\nconfiguration OK\n"),
        "{other:?}"
    );
    let bad = validate(r#"{"registry-mirors": ["https://m"], "loglevel": "debug"}"#).failure();
    let expected = format!(
        "unable to configure the Docker daemon with file {}: the following directives don't match any configuration \
         option: loglevel, registry-mirors\n",
        file.display()
    );
    assert_eq!(without_hints(&bad), expected);
    let bad = validate(r#"{"tlsverify": true, "tlscert": "/no/cert.pem"}"#).failure();
    assert!(bad.contains("could not load X509 key pair (cert: \"/no/cert.pem\""), "{bad}");
    assert!(!home.data_root().exists(), "nothing was opened");
}

#[test]
fn metrics_count_what_went_to_and_came_from_each_registry() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&registry.client(), "app", "1").unwrap();
    let host = registry.address().to_string();
    let bench = Bench::new(Front::Longshore, &["--metrics-addr", "127.0.0.1:0"]);
    let log = fs::read_to_string(bench.home.path().join("daemon.log")).unwrap();
    let address = logged(&log, "metrics API listens address=").unwrap();
    bench.run(&["pull", &format!("{host}/app:1")]).success();
    bench.run(&["tag", &format!("{host}/app:1"), &format!("{host}/copy:1")]).success();
    bench.run(&["push", &format!("{host}/copy:1")]).success();
    bench.run(&["pull", &format!("{host}/app:nope")]).failure();
    let text = get(&address, "/metrics");
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    let whole = |name: &str, label: &str| -> u64 {
        let start = format!("{name}{{{label}}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{start} in {text}")).parse().unwrap()
    };
    let count = "engine_daemon_image_actions_seconds_count";
    for (action, expected) in [("pull", 2), ("push", 1), ("tag", 1)] {
        assert_eq!(whole(count, &format!("action=\"{action}\"")), expected, "{action}");
    }
    let of = format!("registry=\"{host}\"");
    let blobs: u64 = image.blobs().map(|blob| blob.size).sum();
    assert!(whole("longshore_registry_received_bytes_total", &of) >= blobs, "{text}");
    assert_eq!(whole("longshore_registry_received_blobs_total", &of), 3, "two layers and a config");
    for name in ["longshore_layer_entries_total", "longshore_file_system_syncs_total"] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        assert!(line.unwrap().parse::<u64>().unwrap() > 0, "{name}: {text}");
    }
    assert!(text.contains("longshore_layer_stage_cpu_seconds_total{stage=\"apply\"}"), "{text}");
    // The one that is not 0 for a registry without TLS: HTTPS is asked first.
    assert!(whole("longshore_registry_failures_total", &of) <= 1, "{text}");
    assert_eq!(whole("longshore_registry_retries_total", &of), 0);
    let manifest = image.manifest.size;
    assert!(whole("longshore_registry_sent_bytes_total", &of) >= manifest, "{text}");
    assert!(text.contains("graphdriver=\"") && text.contains("engine_daemon_events_total"));
    assert!(get(&address, "/").starts_with("HTTP/1.1 404"));
    every_metric_is_explained(&text);
}

/// Compares the metrics that are served with those of the page and of the dashboard.
fn every_metric_is_explained(text: &str) {
    const OF_A_PRUNE: [&str; 2] =
        ["longshore_scheduled_prune_freed_bytes", "longshore_scheduled_prune_time_seconds"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut served: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    served.extend(OF_A_PRUNE);
    served.sort_unstable();
    let page = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut explained: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    explained.sort_unstable();
    assert_eq!(explained, served);
    let board = fs::read_to_string(root.join("contrib/grafana/longshore.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&board).unwrap();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut shown: Vec<&str> = board
        .split(|c: char| !is_letter(c))
        .filter(|word| {
            ["engine_daemon_", "longshore_", "process_"].iter().any(|start| word.starts_with(start))
        })
        .map(|word| {
            ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| word.strip_suffix(end))
                .unwrap_or(word)
        })
        .collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown, served);
}

#[test]
fn a_crowd_of_idle_clients_keeps_nobody_out() {
    let bench = Bench::new(Front::Longshore, &[]);
    let socket = bench.home.path().join("longshore.sock");
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut client = UnixStream::connect(&socket).unwrap();
        // Some say nothing, some half a request.
        if number % 2 == 0 {
            client.write_all(b"GET /_ping HT").unwrap();
        }
        crowd.push(client);
    }
    bench.run(&["images", "-q"]).success();
    drop(crowd);

    let log = bench.home.path().join("registry.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command
        .args(["registry", "--listen", "127.0.0.1:0", "--root"])
        .arg(bench.home.path().join("r"));
    let listens = || logged(&fs::read_to_string(&log).unwrap_or_default(), "listening on ");
    let _registry = Process::start(command, &log, || listens().is_some()).unwrap();
    let address = listens().unwrap();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(b"GET /v2/ HT").unwrap();
        crowd.push(client);
    }
    assert!(get(&address, "/v2/").starts_with("HTTP/1.1 200"));
    drop(crowd);
}
