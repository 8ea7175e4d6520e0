//! A process that dies at any point leaves the old state or the new one, and nothing that the next start does not remove.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::{Root, Sample, assert_sound, drivers, open};
use crate::{DriverKind, Store, files};

const ROLE: &str = "LONGSHORE_TEST_ROLE";
const ROOT: &str = "LONGSHORE_TEST_ROOT";
const DRIVER: &str = "LONGSHORE_TEST_DRIVER";
const STEP: &str = "LONGSHORE_TEST_STEP";

/// Aborts at the step that this process was started to die at.
pub(crate) fn step(name: &str) {
    static LAST: OnceLock<Option<usize>> = OnceLock::new();
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let last = LAST.get_or_init(|| std::env::var(STEP).ok()?.parse().ok());
    if *last == Some(SEEN.fetch_add(1, Ordering::Relaxed)) {
        eprintln!("dies at: {name}");
        std::process::abort();
    }
}

fn base() -> Sample {
    Sample::new("base:1", &["a", "bb"])
}

fn image() -> Sample {
    Sample::new("app:1", &["a", "bb", "ccc", "dddd"])
}

/// Runs [`child`] in a process of its own; returns whether it got to its end.
pub(crate) fn run_child(role: &str, store: &Store, step: usize) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(ROOT, store.root())
        .env(DRIVER, store.driver().as_str())
        .env(STEP, step.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || errors.contains("dies at: "), "{role} at {step}: {errors}");
    output.status.success()
}

/// Not a test by itself: what the tests below run in another process.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let driver: DriverKind = std::env::var(DRIVER).unwrap().parse().unwrap();
    let store = open(Path::new(&std::env::var(ROOT).unwrap()), driver);
    match &*role {
        "pull" => drop(image().pull(&store).unwrap()),
        "remove" => {
            image().untag(&store);
            store.remove_image(&image().id()).unwrap();
        }
        "deferred" => {
            let lease = store.lease().unwrap();
            lease.hold_image(&image().id()).unwrap();
            image().untag(&store);
            assert!(store.remove_image(&image().id()).unwrap().deferred);
        }
        "churn" => super::concurrency::churn(&store, 1),
        _ => panic!("{role}"),
    }
}

#[test]
fn a_pull_that_dies_anywhere_leaves_the_old_state_or_the_new() {
    for driver in drivers() {
        let mut died = 0;
        loop {
            let root = Root::new(driver);
            base().pull(&root.store).unwrap();
            let finished = run_child("pull", &root.store, died);

            let store = root.reopen();
            assert_sound(&store);
            assert!(store.image(&base().id()).unwrap().is_some());
            let references = store.references().unwrap();
            let is_new = references.get(&image().name).is_some();
            assert_eq!(references.get(&image().digest_name()).is_some(), is_new, "step {died}");
            assert_eq!(store.image(&image().id()).unwrap().is_some(), is_new, "step {died}");

            image().pull(&store).unwrap();
            assert_sound(&store);
            assert!(files::names(&store.paths().ingest()).unwrap().is_empty(), "step {died}");
            if finished {
                assert!(is_new);
                break;
            }
            died += 1;
        }
        assert!(died >= 8, "{driver}: only {died} places to die at");
    }
}

#[test]
fn a_removal_that_dies_anywhere_is_finished_by_the_next_start() {
    for (driver, role) in drivers().into_iter().flat_map(|d| [(d, "remove"), (d, "deferred")]) {
        let mut died = 0;
        loop {
            let root = Root::new(driver);
            base().pull(&root.store).unwrap();
            image().pull(&root.store).unwrap();
            let finished = run_child(role, &root.store, died);

            let store = root.reopen();
            assert_sound(&store);
            assert_eq!(store.image(&image().id()).unwrap(), None, "step {died}");
            assert_eq!(store.layer(&image().chain()[2]).unwrap(), None, "step {died}");
            assert!(store.layer(&base().chain()[1]).unwrap().is_some(), "step {died}");
            if finished {
                break;
            }
            died += 1;
        }
        assert!(died >= 4, "{driver} {role}: only {died} places to die at");
    }
}

#[test]
fn processes_that_die_do_not_disturb_those_that_live() {
    for driver in drivers() {
        let root = Root::new(driver);
        std::thread::scope(|scope| {
            scope.spawn(|| super::concurrency::churn(&root.store, 2));
            for died in [3, 20, 47, 90] {
                assert!(!run_child("churn", &root.store, died));
            }
        });
        assert_sound(&root.reopen());
    }
}
