//! The disk is full from any operation on, or fails to write what is in memory.

use std::fs;

use super::power::is_there;
use super::stage::{Stage, each_fault, verify_remains};
use crate::Store;
use crate::tests::forgetful::Fault;
use crate::tests::support::{Sample, assert_sound, drivers};

fn base() -> Sample {
    Sample::new("base:1", &["a", "bb"])
}

fn app() -> Sample {
    Sample::new("app:1", &["a", "bb", "ccc", "dddd"])
}

fn pull_base(store: &Store) {
    base().pull(store).unwrap();
}

#[test]
fn a_pull_onto_a_full_disk() {
    for driver in drivers() {
        each_fault(driver, Fault::Full, pull_base, |store, disk| {
            let pulled = app().pull(store);
            disk.end();
            if let Err(error) = pulled {
                assert!(error.is_shortage(), "{error}");
                assert_eq!(store.references().unwrap().get(&app().name), None);
                app().pull(store).unwrap();
            }
            is_there(&app(), store);
            assert_sound(store);
        });
    }
}

#[test]
fn a_removal_on_a_full_disk() {
    for driver in drivers() {
        let prepare = |store: &Store| {
            pull_base(store);
            app().pull(store).unwrap();
        };
        each_fault(driver, Fault::Full, prepare, |store, disk| {
            app().untag(store);
            store.remove_image(&app().id()).unwrap();
            assert_eq!(store.image(&app().id()).unwrap(), None);
            disk.end();
            assert_sound(store);
        });
    }
}

#[test]
fn writes_of_a_pull_that_fail() {
    for driver in drivers() {
        each_fault(driver, Fault::WriteBack, pull_base, |store, disk| {
            let pulled = || {
                let lease = store.lease()?;
                let commit = app().prepare(store, &lease)?;
                // Another process is told as well.
                store.write_back();
                store.commit(&lease, commit)
            };
            let pulled = pulled();
            disk.end();
            verify_remains(disk, driver, |store| is_there(&base(), store));
            if pulled.is_err() {
                // Who comes next is told once more, if nobody was told of it by the file system.
                app().pull(store).or_else(|_| app().pull(store)).unwrap();
            }
            verify_remains(disk, driver, |store| is_there(&app(), store));
        });
    }
}

#[test]
fn writes_of_a_process_that_was_killed_that_fail() {
    for driver in drivers() {
        each_fault(driver, Fault::WriteBack, pull_base, |store, disk| {
            let lease = store.lease().unwrap();
            let ingest = store.ingest(&lease, &app().blob(3), 4).unwrap();
            ingest.writer(0..4).unwrap().write(b"dddd").unwrap();
            drop((ingest, lease));
            // Somebody else is told, and so the one that goes on is not.
            store.write_back();
            disk.end();
            app().pull(store).unwrap();
            verify_remains(disk, driver, |store| is_there(&app(), store));
        });
    }
}

#[test]
fn a_write_back_leaves_nothing_to_lose() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        stage.begin();
        let lease = stage.store.lease().unwrap();
        let staged = stage.store.stage(&lease).unwrap();
        fs::write(staged.entry().join("diff"), "x").unwrap();
        assert!(!stage.disk.is_synced());
        stage.store.write_back();
        assert!(stage.disk.is_synced());
    }
}
