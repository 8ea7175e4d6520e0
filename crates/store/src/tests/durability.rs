//! Writes that fail on their way from memory to the disk: everyone who relied on them is told, and nobody uses them.

use std::fs;

use spec::{Digest, Reference};
use test_support::disk::Disk;

use super::support::{Root, Sample, assert_sound, drivers};
use crate::collect::journal::{Entry, Item};
use crate::commit::{Committed, Moved};
use crate::content::blob::BlobSource;
use crate::{Commit, DriverKind, Store, StoreError, files};

fn image() -> Sample {
    Sample::new("app:1", &["a", "bb", "ccc"])
}

fn disk() -> Option<Disk> {
    Disk::mount().map_err(|error| eprintln!("skipped: {error}")).ok()
}

/// A store on a disk that can fail, which has all the directories that it will need: these shall not be what fails.
fn root_on(disk: &Disk, driver: DriverKind) -> Root {
    let root = Root::within(&disk.path(), driver);
    Sample::new("base:1", &["base"]).pull(&root.store).unwrap();
    root
}

fn assert_told<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    // A loop device whose file cannot grow has no space left.
    let is_it = matches!(error, StoreError::Unwritten { .. } | StoreError::NoSpace { .. });
    assert!(is_it, "{error}");
}

fn assert_nothing_is_kept(store: &Store) {
    for folder in [store.paths().ingest(), store.paths().staging()] {
        assert_eq!(files::names(&folder).unwrap(), [""; 0], "{}", folder.display());
    }
}

#[test]
fn a_commit_is_told_what_a_sync_in_the_background_was_told() {
    for driver in drivers() {
        let Some(disk) = disk() else { return };
        let root = root_on(&disk, driver);
        let store = &root.store;
        let lease = store.lease().unwrap();
        disk.fail().unwrap();
        let commit = image().prepare(store, &lease).unwrap();
        store.write_back();
        assert_told(store.commit(&lease, commit));
        // And whatever else is done by the same operation.
        disk.recover().unwrap();
        let again = image().prepare(store, &lease).unwrap();
        assert_told(store.commit(&lease, again));
        drop(lease);
        assert_nothing_is_kept(store);
        assert_eq!(store.image(&image().id()).unwrap(), None);

        image().pull(store).unwrap();
        assert_sound(&root.closed_meanwhile(|| disk.remount().unwrap()).store);
    }
}

#[test]
fn a_commit_of_what_is_here_waits_for_no_disk_unless_another_may_not_have() {
    for driver in drivers() {
        let Some(disk) = disk() else { return };
        let root = root_on(&disk, driver);
        let store = &root.store;
        let first = image().pull(store).unwrap();
        disk.fail().unwrap();
        let again = |change: fn(&mut Commit)| {
            let lease = store.lease()?;
            let mut commit = image().prepare(store, &lease)?;
            commit.layers.clear();
            commit.blobs.retain(|blob| matches!(blob.source, BlobSource::Bytes(_)));
            change(&mut commit);
            store.commit(&lease, commit)
        };
        let names = |committed: Committed| {
            committed.moved.into_iter().map(|moved| moved.reference).collect::<Vec<_>>()
        };
        let committed = again(|_| ()).unwrap();
        let is_same = |moved: &Moved| moved.before == Some(image().id());
        assert!(committed.moved.iter().all(is_same));
        assert_eq!(names(committed), names(first));
        // Another name, another manifest.
        assert_told(again(|commit| {
            commit.references[0].0 = Reference::parse_familiar("new:1").unwrap();
        }));
        assert_told(again(|commit| {
            commit.image.as_mut().unwrap().manifests[0].digest = image().id().digest().clone();
        }));
        // Somebody publishes, or died when he did.
        let other = store.lease().unwrap();
        assert!(again(|_| ()).is_ok());
        // One whose lease cannot be read may.
        let unreadable = store.paths().leases().join("junk");
        fs::create_dir(&unreadable).unwrap();
        assert_told(again(|_| ()));
        fs::remove_dir(&unreadable).unwrap();
        assert!(again(|_| ()).is_ok());
        other.note(&[Entry::Pending(Item::Image(image().id()))]).unwrap();
        assert_told(again(|_| ()));
        disk.recover().unwrap();
    }
}

#[test]
fn an_operation_is_told_that_began_after_what_it_uses_was_lost() {
    for driver in drivers() {
        let Some(disk) = disk() else { return };
        let root = root_on(&disk, driver);
        let store = &root.store;
        let first = store.lease().unwrap();
        disk.fail().unwrap();
        let commit = image().prepare(store, &first).unwrap();
        disk.sync().unwrap_err();
        let second = store.lease().unwrap();
        disk.recover().unwrap();
        // As a pull that joined the other's layers while these came.
        assert_told(store.commit(&second, commit));
        drop((first, second));
        assert_nothing_is_kept(store);
        image().pull(store).unwrap();
        assert_sound(&root.closed_meanwhile(|| disk.remount().unwrap()).store);
    }
}

#[test]
fn what_a_process_left_counts_only_if_it_is_on_the_disk() {
    let Some(disk) = disk() else { return };
    let root = root_on(&disk, drivers()[0]);
    let bytes = vec![7; 100_000];
    let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
    let present = |fails: bool| {
        let lease = root.store.lease().unwrap();
        let ingest = root.store.ingest(&lease, &digest, size).unwrap();
        let present = ingest.present();
        if fails {
            disk.fail().unwrap();
        }
        if present < size {
            ingest.writer(present..size).unwrap().write(&bytes).unwrap();
        }
        present
    };
    assert_eq!(present(true), 0);
    // Told to somebody else, as the process that wrote it died before it asked.
    disk.sync().unwrap_err();
    disk.recover().unwrap();
    assert_eq!(present(false), 0, "the disk does not have it");
    assert_eq!(present(false), size, "nothing failed since");
}

#[test]
fn a_staged_file_and_a_restored_layer_are_lost_with_their_operation() {
    use std::io::Write as _;
    for driver in drivers() {
        let Some(disk) = disk() else { return };
        let root = root_on(&disk, driver);
        let store = &root.store;
        image().pull(store).unwrap();
        let lease = store.lease().unwrap();
        disk.fail().unwrap();
        let mut writer = store.blob_writer(&lease, spec::Algorithm::Sha256).unwrap();
        writer.write_all(&vec![1; 1 << 20]).unwrap();
        let blob = writer.finish();
        let mut commit = Sample::new("other:1", &["x"]).prepare(store, &lease).unwrap();
        let (staged, record) = commit.layers.pop().unwrap();
        disk.sync().unwrap_err();
        let later = store.lease().unwrap();
        let blobs = Commit { blobs: vec![blob], ..Commit::default() };
        assert_told(store.commit(&later, blobs));
        if driver == DriverKind::Overlay2 {
            assert_told(store.replace_layer(&image().chain()[0], &staged, &record));
        }
        disk.recover().unwrap();
        drop((commit, staged, lease, later));
        assert_nothing_is_kept(store);
        assert_sound(store);
    }
}
