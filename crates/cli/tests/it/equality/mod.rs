//! `longshore` says what `docker` says: on the same daemon, every command line of a table gives the same output, the
//! same errors and the same exit status.
//!
//! The table is in the `.txt` files beside this one, a command line a line (see [`case`] for the form). Both programs
//! are run against a daemon of Longshore and against a real dockerd with the same images. What may differ is in
//! [`normal`] and nowhere else.
//!
//! The words of docker change from version to version, so that those of one are [`recorded`]: Longshore is compared with
//! the record everywhere, and with docker itself where that has the recorded version.

mod case;
mod constant;
mod flags;
mod normal;
mod recorded;
mod stage;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;
pub(crate) use recorded::docker_is_the_recorded_one;
use recorded::{Means, Record};
use stage::{Daemon, Folder, Program, Said, Stage};

use crate::support::is_root;

/// Command lines that change nothing, and so may run beside each other.
const QUERIES: [(&str, &str); 4] = [
    ("usage", include_str!("usage.txt")),
    ("queries", include_str!("queries.txt")),
    ("formats", include_str!("formats.txt")),
    ("templates", include_str!("templates.txt")),
];
/// Command lines that change images or credentials.
const CHANGES: [(&str, &str); 1] = [("changes", include_str!("changes.txt"))];
/// Number of queries that run at the same time against a daemon.
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

/// The comparison of Longshore with docker, here and as it is recorded.
struct Comparison {
    stage: Stage,
    means: Means,
    record: Record,
    found: Mutex<Found>,
}

/// Differences and answers that a comparison finds.
#[derive(Default)]
struct Found {
    differences: Vec<String>,
    /// Answers of docker that are to be recorded.
    answers: Record,
}

impl Comparison {
    /// Runs a line by both programs, as far as they can be compared here, and notes how they differ.
    fn run(&self, daemon: &Daemon, folder: &Folder, case: &Case) {
        let recorded = self.means.reads_record(daemon.name, case);
        if !recorded && !self.means.asks_docker() {
            return;
        }
        // dockerd adds up the disk usage for one client at a time and refuses the others.
        let _alone = case.key.text.contains("system df").then(|| DISK_USAGE.lock().unwrap());
        let docker =
            self.means.asks_docker().then(|| Stage::run(daemon, folder, Program::Docker, case));
        let longshore = Stage::run(daemon, folder, Program::Longshore, case);
        let constant = |said: &Said| self.stage.constant(said, daemon, folder, case);
        let mut found = self.found.lock().unwrap();
        if let Some(docker) = &docker {
            found.compare(daemon, case, ("docker", docker), ("longshore", &longshore));
            if self.means.records() && !case.is_of_the_machine() {
                found.answers.add(case, daemon.name, constant(docker));
            }
        }
        if !recorded {
            return;
        }
        let Some(record) = self.record.answer(case, daemon.name) else {
            found.differences.push(format!("=== {} is not recorded\n", case.key.text));
            return;
        };
        // With docker at hand it is the record that is looked at: Longshore said the same as docker, or failed above.
        let (name, said) = match &docker {
            Some(docker) => ("docker", constant(docker)),
            None => ("longshore", constant(&longshore)),
        };
        found.compare(daemon, case, ("recorded", record), (name, &said));
    }
}

impl Found {
    fn compare(
        &mut self,
        daemon: &Daemon,
        case: &Case,
        (theirs, expected): (&str, &Said),
        (ours, said): (&str, &Said),
    ) {
        if expected != said {
            self.differences.push(format!(
                "=== {} on {}\n--- {theirs}\n{expected}\n--- {ours}\n{said}\n",
                case.key.text, daemon.name
            ));
        }
    }
}

#[test]
fn the_daemons_tell_of_the_same_events() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let folder = Folder::new();
    let told = |daemon: &Daemon| -> Vec<String> {
        for case in stage.cases(&[("events", include_str!("events.txt"))]) {
            let said = Stage::run(daemon, &folder, Program::Docker, &case);
            assert!(said.is_success(), "{} on {}: {said}", case.key.text, daemon.name);
        }
        // A second from now: the second of the last event is not over.
        let line =
            "events --since 0 --until -1s -f type=image --format '{{.Action}} {{json .Actor}}'";
        let said =
            Stage::run(daemon, &folder, Program::Docker, &stage.cases(&[("events", line)])[0]);
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
    let (queries, changes) = (stage.cases(&QUERIES), stage.cases(&CHANGES));
    let tables: Vec<&str> = QUERIES.iter().chain(&CHANGES).map(|(name, _)| *name).collect();
    let means = Means::here();
    let record = Record::read(&tables);
    let comparison = Comparison { stage, means, record, found: Mutex::default() };
    for daemon in &comparison.stage.daemons {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let folder = Folder::new();
                    while let Some(case) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                        comparison.run(daemon, &folder, case);
                    }
                });
            }
        });
    }
    std::thread::scope(|scope| {
        for daemon in &comparison.stage.daemons {
            let (comparison, changes) = (&comparison, &changes);
            scope.spawn(move || {
                let folder = Folder::new();
                for case in changes {
                    comparison.run(daemon, &folder, case);
                }
            });
        }
    });
    let cases = [queries, changes].concat();
    let mut found = comparison.found.into_inner().unwrap();
    if means.records() {
        found.answers.write(&tables, &cases);
    } else {
        let gone = comparison.record.superfluous(&cases);
        found.differences.extend(gone.iter().map(|line| format!("=== {line} is in no table\n")));
    }
    let differences = found.differences;
    assert!(
        differences.is_empty(),
        "{}\n{} differ. The record is made anew by {}",
        differences.join("\n"),
        differences.len(),
        recorded::HOW
    );
}
