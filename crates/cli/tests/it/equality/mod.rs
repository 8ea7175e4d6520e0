//! `longshore` says what `docker` says: on the same daemon, every command line of a table gives the same output, the
//! same errors and the same exit status.
//!
//! The table is in the `.txt` files beside this one, a command line a line (see [`case`] for the form). Both programs
//! are run against a daemon of Longshore and against a real dockerd with the same images. What may differ is in
//! [`normal`] and nowhere else.

mod case;
mod flags;
mod normal;
mod stage;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;
use stage::{Daemon, Folder, Program, Stage};

use crate::support::is_root;

/// Command lines that change nothing, and so may run beside each other.
const QUERIES: [&str; 4] = [
    include_str!("usage.txt"),
    include_str!("queries.txt"),
    include_str!("formats.txt"),
    include_str!("templates.txt"),
];
/// Command lines that change images or credentials.
const CHANGES: [&str; 1] = [include_str!("changes.txt")];
/// How many queries run at the same time against a daemon.
const WORKERS: usize = 3;

fn can_run() -> bool {
    let programs = ["dockerd", "docker", "docker-registry", "htpasswd"];
    let can = is_root() && test_support::servers::installed(&programs);
    if !can {
        println!("skipped: needs root and {programs:?}");
    }
    can
}

/// Held by who asks for the disk usage.
static DISK_USAGE: Mutex<()> = Mutex::new(());

/// Runs a line by both programs and returns how they differ, if they do.
fn difference(daemon: &Daemon, folder: &Folder, case: &Case) -> Option<String> {
    // dockerd adds up the disk usage for one client at a time and refuses the others.
    let _alone = case.text.contains("system df").then(|| DISK_USAGE.lock().unwrap());
    let docker = Stage::run(daemon, folder, Program::Docker, case);
    let longshore = Stage::run(daemon, folder, Program::Longshore, case);
    (docker != longshore).then(|| {
        format!(
            "=== {} on {}\n--- docker\n{docker}\n--- longshore\n{longshore}\n",
            case.text, daemon.name
        )
    })
}

#[test]
fn the_daemons_tell_of_the_same_events() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let folder = Folder::new();
    let told = |daemon: &Daemon| -> Vec<String> {
        for case in stage.cases(&[include_str!("events.txt")]) {
            let said = Stage::run(daemon, &folder, Program::Docker, &case);
            assert!(said.is_success(), "{} on {}: {said}", case.text, daemon.name);
        }
        // A second from now: the second of the last event is not over.
        let line =
            "events --since 0 --until -1s -f type=image --format '{{.Action}} {{json .Actor}}'";
        let said = Stage::run(daemon, &folder, Program::Docker, &stage.cases(&[line])[0]);
        said.lines()
    };
    let [ours, theirs] = &stage.daemons;
    let (ours, theirs) = (told(ours), told(theirs));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn docker_and_longshore_say_the_same() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let differences = Mutex::new(Vec::new());
    let queries: Vec<Case> = stage.cases(&QUERIES);
    for daemon in &stage.daemons {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let folder = Folder::new();
                    while let Some(case) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let found = difference(daemon, &folder, case);
                        differences.lock().unwrap().extend(found);
                    }
                });
            }
        });
    }
    let changes: Vec<Case> = stage.cases(&CHANGES);
    std::thread::scope(|scope| {
        for daemon in &stage.daemons {
            let (changes, differences) = (&changes, &differences);
            scope.spawn(move || {
                let folder = Folder::new();
                for case in changes {
                    let found = difference(daemon, &folder, case);
                    differences.lock().unwrap().extend(found);
                }
            });
        }
    });
    let differences = differences.into_inner().unwrap();
    assert!(
        differences.is_empty(),
        "{}\n{} of {} differ",
        differences.join("\n"),
        differences.len(),
        (queries.len() + changes.len()) * stage.daemons.len()
    );
}
