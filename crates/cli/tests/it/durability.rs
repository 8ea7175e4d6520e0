//! Syncs that fail, made to by strace: whoever relied on one is told, and the next try is right.

use std::fs;
use std::path::PathBuf;

use test_support::image::Image;
use test_support::servers::{LocalRegistry, installed};
use test_support::tar::{Entry, Writer};

use super::support::{Done, Home, assert_holds_only, files_below, run, small_image};

/// A registry with an image, and strace to run a command with.
struct Traced {
    registry: LocalRegistry,
    image: Image,
    home: Home,
}

impl Traced {
    /// `None` where strace is missing or must not trace.
    fn new() -> Option<Self> {
        let home = Home::new();
        let is_there = installed(&["strace"])
            && run(home.clean("strace").args(["-o", "/dev/null", "true"]), "").ok;
        if !is_there {
            println!("skipped: needs strace and the right to trace");
            return None;
        }
        let registry = LocalRegistry::start().unwrap();
        let image = small_image(3);
        image.push(&registry.client(), "app", "1").unwrap();
        Some(Self { registry, image, home })
    }

    fn name(&self) -> String {
        format!("{}/app:1", self.registry.address())
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("strace.log")
    }

    /// Runs a command; `options` are those of strace.
    fn run(&self, options: &[&str], arguments: &[&str]) -> Done {
        let traced = self.home.longshore();
        let mut command = self.home.clean("strace");
        command.args(["-f", "--seccomp-bpf", "-y", "-o"]).arg(self.log()).args(options);
        command.arg(traced.get_program()).args(traced.get_args()).args(arguments);
        run(&mut command, "")
    }

    /// Runs a command until each of the syncs that it takes has failed once. Each time it must say so, or leave
    /// what it did not tidy up to the next start; and it must succeed when it is tried again, and leave nothing wrong.
    fn fail_each(&self, arguments: &[&str], before: impl Fn()) {
        // strace counts for each thread by itself, so there may be more than one failure; the first is what counts.
        for number in 1.. {
            before();
            let inject = format!("inject=fsync,fdatasync,syncfs:error=EIO:when={number}");
            let done = self.run(&["-e", "trace=fsync,fdatasync,syncfs", "-e", &inject], arguments);
            if !fs::read_to_string(self.log()).unwrap().contains("(INJECTED)") {
                done.success();
                assert!(number > 2, "{arguments:?} takes more syncs than {number}");
                self.home.run(&["system", "check", "--deep"]).success();
                return;
            }
            if done.ok {
                // What failed was the last tidying up: its lease is left to the next start.
                let leases = self.home.data_root().join("longshore/leases");
                assert_ne!(files_below(&leases), [""; 0], "{arguments:?}: {done:?}");
            } else {
                let error = &done.stderr;
                assert!(error.contains("Input/output error"), "{arguments:?}: {error}");
            }
            let again = self.home.run(arguments);
            // What was told to have failed may have been done all the same.
            let is_gone = arguments[0] == "rmi" && again.stderr.contains("No such image");
            assert!(again.ok || is_gone, "{arguments:?}: {again:?}");
        }
    }
}

#[test]
fn a_pull_whose_sync_fails_keeps_nothing_that_it_covered() {
    let Some(traced) = Traced::new() else { return };
    let name = traced.name();
    let inject = ["-e", "trace=syncfs", "-e", "inject=syncfs:error=EIO"];
    let error = traced.run(&inject, &["pull", &name]).failure();
    assert!(error.contains("failed to write what was to be stored"), "{error}");
    let own = traced.home.data_root().join("longshore");
    for folder in ["ingest", "staging", "leases", "content/blobs"] {
        assert_eq!(files_below(&own.join(folder)), [""; 0], "{folder}");
    }
    traced.home.run(&["pull", &name]).success();
    assert_holds_only(&traced.home.data_root(), &traced.image);
}

#[test]
fn every_sync_that_fails_is_told() {
    let Some(traced) = Traced::new() else { return };
    let name = traced.name();
    let untag = || drop(traced.home.run(&["rmi", "-f", &name, "other:1"]));
    traced.fail_each(&["pull", "-q", &name], untag);
    let pull = || {
        traced.home.run(&["pull", "-q", &name]).success();
        drop(traced.home.run(&["rmi", "other:1"]));
    };
    traced.fail_each(&["tag", &name, "other:1"], pull);
    traced.fail_each(&["rmi", &name], pull);
    let tar = traced.home.path().join("files.tar");
    let mut writer = Writer::new(fs::File::create(&tar).unwrap());
    writer.append(&Entry::file("a", "b")).unwrap();
    writer.finish().unwrap();
    traced.fail_each(&["import", tar.to_str().unwrap(), "other:1"], untag);
    let saved = traced.home.path().join("saved.tar");
    pull();
    traced.home.run(&["save", "-o", saved.to_str().unwrap(), &name]).success();
    traced.fail_each(&["load", "-q", "-i", saved.to_str().unwrap()], untag);
}

#[test]
fn what_is_removed_is_gone_for_good_before_nobody_answers_for_it() {
    let Some(traced) = Traced::new() else { return };
    let name = traced.name();
    traced.home.run(&["pull", "-q", &name]).success();
    traced.run(&["-e", "trace=unlink,unlinkat,rename,fsync"], &["rmi", &name]).success();
    let log = fs::read_to_string(traced.log()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let root = traced.home.data_root().canonicalize().unwrap();
    let last = |call: &str, path: &str| {
        let path = root.join(path).display().to_string();
        lines.iter().rposition(|line| line.contains(call) && line.contains(&path))
    };
    let lease = last("unlink", "longshore/leases/").unwrap();
    for (call, folder) in [
        ("unlink", "longshore/content/blobs/sha256"),
        ("rename", "overlay2"),
        ("unlink", "overlay2/l"),
    ] {
        let Some(taken) = last(call, &format!("{folder}/")) else {
            assert!(folder.starts_with("overlay2") && !super::support::is_root(), "{folder}");
            continue;
        };
        let synced = last("fsync", &format!("{folder}>")).unwrap();
        assert!(taken < synced && synced < lease, "{folder}: {taken} {synced} {lease}\n{log}");
    }
}
