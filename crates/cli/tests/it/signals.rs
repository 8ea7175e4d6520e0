//! Pulls that are told to end.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use test_support::image::{Compression, Image, Layer};
use test_support::servers::{LocalRegistry, Process};
use test_support::tar::Entry;

use super::crash::Proxy;
use super::support::{Bench, Front, Home, assert_holds_only, files_below, noise};

/// A registry, a way to it that ends after some bytes, and the news that it has ended.
struct Halfway {
    registry: LocalRegistry,
    image: Image,
    proxy: Proxy,
    reached: mpsc::Receiver<()>,
}

impl Halfway {
    fn new() -> Self {
        let registry = LocalRegistry::start().unwrap();
        let layer = |seed| {
            let entries = [Entry::directory("d"), Entry::file("d/f", noise(seed, 4 << 20))];
            Layer::new(Compression::Gzip, &entries)
        };
        let image = Image::builder().layer(layer(1)).layer(layer(2)).build();
        image.push(&registry.client(), "app", "1").unwrap();
        let total: u64 = image.layers.iter().map(|layer| layer.blob.size).sum();
        let (sender, reached) = mpsc::channel();
        let proxy = Proxy::start(registry.address(), total / 2, sender);
        Self { registry, image, proxy, reached }
    }

    fn name(&self) -> String {
        format!("{}/app:1", self.proxy.address)
    }

    /// Pulls in full, and insists that nothing was left behind.
    fn finish(&self, home: &Home) {
        let own = home.data_root().join("longshore");
        for folder in ["staging", "leases", "trash"] {
            assert_eq!(files_below(&own.join(folder)), [""; 0], "{folder}");
        }
        assert_eq!(home.run(&["images", "-q"]).success(), "");
        home.run(&["pull", &format!("{}/app:1", self.registry.address())]).success();
        assert_holds_only(&home.data_root(), &self.image);
    }
}

fn send(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

fn ended(mut child: Child) -> ExitStatus {
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), None, "it ended by itself");
    status
}

#[test]
fn a_pull_in_this_process_ends_cleanly() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (home, halfway) = (Home::new(), Halfway::new());
        let mut pull = home.longshore();
        pull.args(["pull", &halfway.name()]).stdout(Stdio::null()).stderr(Stdio::null());
        let pull = pull.spawn().unwrap();
        halfway.reached.recv().unwrap();
        send(pull.id(), signal);
        assert_eq!(ended(pull).code(), Some(status));
        halfway.finish(&home);
    }
}

/// Says whether a process has a handler of its own for a signal.
fn catches(process: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn a_load_from_a_pipe_that_nobody_writes_to_ends_at_the_first_signal() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let home = Home::new();
        let pipe = home.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut load = home.longshore();
        load.arg("load").arg("-i").arg(&pipe).stdout(Stdio::null()).stderr(Stdio::null());
        let load = load.spawn().unwrap();
        while !catches(load.id(), signal) {
            std::thread::yield_now();
        }
        send(load.id(), signal);
        assert_eq!(ended(load).code(), Some(status));
    }
}

#[test]
fn a_daemon_that_is_told_to_stop_cancels_what_takes_too_long() {
    for signal in [Signal::INT, Signal::TERM] {
        let (home, halfway) = (Home::new(), Halfway::new());
        let socket = home.path().join("l.sock");
        let host = format!("unix://{}", socket.display());
        let mut daemon = home.longshore();
        daemon.args(["daemon", "--shutdown-timeout", "1", "-H", &host]);
        let ready = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        let log = home.path().join("daemon.log");
        let mut daemon = Process::start(daemon, &log, ready).unwrap();
        let mut pull = home.clean(env!("CARGO_BIN_EXE_longshore"));
        pull.args(["-H", &host, "pull", &halfway.name()]);
        let pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        halfway.reached.recv().unwrap();
        send(daemon.id(), signal);
        assert_eq!(ended(pull).code(), Some(1), "the client is told that its pull failed");
        assert_eq!(daemon.wait().unwrap().code(), Some(0), "{}", daemon.log());
        assert!(!socket.exists());
        halfway.finish(&home);
    }
}

#[test]
fn a_client_that_is_told_to_stop_ends_its_pull_in_the_daemon() {
    let halfway = Halfway::new();
    let bench = Bench::new(Front::Longshore, &[]);
    let mut pull = bench.command();
    pull.args(["pull", &halfway.name()]).stdout(Stdio::null()).stderr(Stdio::null());
    let pull = pull.spawn().unwrap();
    halfway.reached.recv().unwrap();
    send(pull.id(), Signal::INT);
    assert_eq!(ended(pull).code(), Some(130));
    // The daemon stops cleanly, and at once: nothing runs any more.
    let home = bench.into_home();
    let log = fs::read_to_string(home.path().join("daemon.log")).unwrap();
    let line = log.lines().find(|line| line.contains("pull cancelled"));
    let image = format!("image=\"{}\"", halfway.name());
    assert!(line.is_some_and(|line| line.contains(&image)), "{log}");
    halfway.finish(&home);
}
