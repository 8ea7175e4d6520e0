//! The disk is full from any operation on, or fails to write what is in memory.

use spec::Digest;

use super::stage::{Stage, each_fault};
use crate::tests::forgetful::{Fault, Forgetful};
use crate::tests::support::{Sample, assert_sound, drivers};
use crate::{Store, StoreError};

fn base() -> Sample {
    Sample::new("base:1", &["a", "bb"])
}

fn app() -> Sample {
    Sample::new("app:1", &["a", "bb", "ccc", "dddd"])
}

#[test]
fn a_pull_onto_a_full_disk() {
    for driver in drivers() {
        let prepare = |store: &Store| drop(base().pull(store).unwrap());
        each_fault(driver, Fault::Full, prepare, |store, disk| {
            let pulled = app().pull(store);
            disk.end();
            match pulled {
                Ok(_) => assert!(store.image(&app().id()).unwrap().is_some()),
                Err(error) => {
                    assert!(error.is_shortage(), "{error}");
                    assert_eq!(store.references().unwrap().get(&app().name), None);
                    app().pull(store).unwrap();
                }
            }
            assert_sound(store);
        });
    }
}

#[test]
fn a_removal_on_a_full_disk() {
    for driver in drivers() {
        let prepare = |store: &Store| {
            base().pull(store).unwrap();
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
