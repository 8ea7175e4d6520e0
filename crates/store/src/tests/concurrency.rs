//! Several users of one data root at once.

use std::thread;

use super::crash::run_child;
use super::support::{Root, Sample, assert_sound, drivers, open};
use crate::{DriverKind, Store, StoreError, StoreOptions};

/// Never reached: the child does not die.
const NEVER: usize = usize::MAX;

/// Pulls, moves tags and removes images that share layers with those of everybody else who does this.
pub(crate) fn churn(store: &Store, seed: usize) {
    let words = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"];
    for round in 0..24 {
        let number = round * 7 + seed * 3;
        let depth = 1 + number % 4;
        let mut chosen = vec![words[0], words[1 + number % 2]];
        chosen.extend(&words[2..2 + depth]);
        let sample = Sample::new(&format!("app:{}", number % 5), &chosen);
        sample.pull(store).unwrap();
        let gone = Sample::new("app:1", &chosen[..chosen.len() - number % 2]);
        store
            .update_references(|references| {
                for name in references.of_image(&gone.id()).to_vec() {
                    references.remove(&name);
                }
                Ok(())
            })
            .unwrap();
        match store.remove_image(&gone.id()) {
            // Somebody else removed it before, or gave it a name again.
            Ok(_) | Err(StoreError::NoImage(_) | StoreError::Referenced { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn processes_and_threads_share_a_root() {
    for driver in drivers() {
        let root = Root::new(driver);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert!(run_child(&root.store, NEVER)));
            }
            // One thread on the same store and one on its own.
            scope.spawn(|| churn(&root.store, 2));
            scope.spawn(|| churn(&open(root.store.root(), driver), 3));
        });
        let store = root.reopen();
        assert_sound(&store);
    }
}

#[test]
fn a_layer_that_somebody_was_faster_with_is_no_error() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let (base, app) = (Sample::new("base:1", &["a"]), Sample::new("app:1", &["a", "bb"]));
        let lease = store.lease().unwrap();
        let commit = app.prepare(store, &lease).unwrap();
        assert_eq!(commit.layers.len(), 2);
        // The parent that `commit` was prepared for is not the one that it will stand on.
        base.pull(store).unwrap();
        let parent = store.layer(&base.chain()[0]).unwrap();
        store.commit(&lease, commit).unwrap();
        drop(lease);
        assert_eq!(store.layer(&base.chain()[0]).unwrap(), parent, "the first one stays");
        assert_sound(store);
    }
}

#[test]
fn a_root_in_use_by_dockerd_is_refused() {
    let root = Root::packed();
    let volumes = root.store.root().join("volumes");
    std::fs::create_dir(&volumes).unwrap();
    let database = std::fs::File::create(volumes.join("metadata.db")).unwrap();
    database.lock().unwrap();
    let options = StoreOptions {
        root: root.store.root().to_owned(),
        driver: Some(DriverKind::Packed),
        keep_blobs: true,
    };
    assert!(matches!(Store::open(options), Err(StoreError::InUse { .. })));
    // One that was open before the dockerd was started writes nothing any more.
    let sample = Sample::new("app:1", &["a"]);
    assert!(matches!(sample.pull(&root.store), Err(StoreError::InUse { .. })));
    database.unlock().unwrap();
    sample.pull(&root.store).unwrap();
    assert_sound(&root.reopen());
}

#[test]
fn a_second_packing_of_a_layer_is_not_kept_for_nothing() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a"]);
    let lease = store.lease().unwrap();
    let mut commit = sample.prepare(store, &lease).unwrap();
    // The same tar, compressed in another way, and no manifest that mentions it.
    let other = spec::Digest::sha256(b"other");
    let ingest = store.ingest(&lease, &other, 5).unwrap();
    ingest.writer(0..5).unwrap().write(b"other").unwrap();
    commit.blobs = vec![ingest.verify().unwrap()];
    commit.layers[0].1.blob = Some(other.clone());
    commit.image.as_mut().unwrap().manifests.clear();
    sample.pull(store).unwrap();
    store.commit(&lease, commit).unwrap();
    assert!(store.blob(&other).unwrap().is_some());
    drop(lease);
    assert_sound(store);
}
