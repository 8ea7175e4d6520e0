//! The power goes at any operation of all that changes a data root.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use spec::{Descriptor, Digest, Repository};

use super::stage::Stage;
use crate::tests::parts::Family;
use crate::tests::support::{Sample, assert_sound, drivers, source};
use crate::{
    Commit, DriverKind, LayerRecord, NewImage, Store, StoreError, UploadNote, VerifiedBlob,
};

fn base() -> Sample {
    Sample::new("base:1", &["a", "bb"])
}

pub(super) fn app() -> Sample {
    Sample::new("app:1", &["a", "bb", "ccc", "dddd"])
}

/// Says whether the image is there under its names, whole, with where its layers came from.
pub(super) fn is_there(sample: &Sample, store: &Store) {
    let references = store.references().unwrap();
    for name in [&sample.name, &sample.digest_name()] {
        assert_eq!(references.get(name), Some(sample.id()), "{name}");
    }
    assert!(store.image(&sample.id()).unwrap().is_some());
    for (number, diff_id) in sample.diff_ids().iter().enumerate() {
        let from = source(&sample.blob(number), sample.name.repository());
        assert!(store.sources_of(diff_id).unwrap().contains(&from), "layer {number}");
        assert_eq!(store.diff_id_of(&from.digest).unwrap().as_ref(), Some(diff_id));
    }
}

fn is_gone(sample: &Sample, store: &Store) {
    let references = store.references().unwrap();
    assert_eq!(references.get(&sample.name), None);
    assert_eq!(references.get(&sample.digest_name()), None);
    assert_eq!(store.image(&sample.id()).unwrap(), None);
}

/// Pulls as a client does that tries again where bytes from before a crash turn out wrong.
pub(super) fn pull(sample: &Sample, store: &Store) {
    for _ in &sample.words {
        match sample.pull(store) {
            Err(StoreError::Mismatch { .. }) => {}
            pulled => return drop(pulled.unwrap()),
        }
    }
    sample.pull(store).unwrap();
}

fn remove(sample: &Sample, store: &Store) -> bool {
    sample.untag(store);
    store.remove_image(&sample.id()).unwrap().deferred
}

/// Prints how much was looked at; nobody looks at nothing.
fn looked_at(what: &str, driver: DriverKind, count: usize) {
    eprintln!("{what}, {driver}: {count} trees after a power cut");
    assert!(count > 5, "{what}: only {count}");
}

#[test]
fn the_first_start() {
    for driver in drivers() {
        let stage = Stage::empty(driver);
        let count = stage.finish(|store| pull(&app(), store));
        looked_at("the first start", driver, count);
    }
}

#[test]
fn a_pull() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        app().pull(&stage.store).unwrap();
        stage.promise(|store| is_there(&app(), store));
        let count = stage.finish(|store| {
            pull(&app(), store);
            is_there(&app(), store);
            assert_sound(store);
        });
        looked_at("a pull", driver, count);
    }
}

#[test]
fn a_pull_that_goes_on_from_what_was_left() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        let lease = stage.store.lease().unwrap();
        let ingest = stage.store.ingest(&lease, &app().blob(3), 4).unwrap();
        ingest.writer(0..4).unwrap().write(b"dd").unwrap();
        drop((ingest, lease));
        stage.begin();
        app().pull(&stage.store).unwrap();
        stage.promise(|store| is_there(&app(), store));
        let count = stage.finish(|store| pull(&app(), store));
        looked_at("a pull that goes on", driver, count);
    }
}

/// An image with one of another platform beside it.
fn family() -> Family {
    Family::new("app:1", &["a", "bb", "ccc"], &["a", "x"])
}

/// Pulls as [`pull`] does.
fn pull_family(store: &Store) {
    while let Err(error) = family().pull(store) {
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    }
}

fn is_whole(store: &Store) {
    is_there(&family().own, store);
    family().is_whole(store);
}

#[test]
fn a_pull_with_parts() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        family().pull(&stage.store).unwrap();
        stage.promise(is_whole);
        let count = stage.finish(|store| {
            pull_family(store);
            is_whole(store);
            assert_sound(store);
        });
        looked_at("a pull with parts", driver, count);
    }
}

#[test]
fn parts_that_come_later_and_go_alone() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&family().own, &stage.store);
        stage.promise(|store| is_there(&family().own, store));
        stage.begin();
        family().pull(&stage.store).unwrap();
        stage.promise(is_whole);
        stage.withdraw();
        let part = family().parts()[0].digest.clone();
        stage.store.remove_parts(&family().own.id(), std::slice::from_ref(&part)).unwrap();
        stage.promise(move |store| {
            let parts = store.parts_of(&family().own.id()).unwrap();
            assert_eq!(parts, family().parts()[1..]);
            assert_eq!(store.blob(&part).unwrap(), None);
        });
        let count = stage.finish(|store| {
            pull_family(store);
            is_there(&family().own, store);
            assert_sound(store);
        });
        looked_at("parts that go", driver, count);
    }
}

#[test]
fn a_start_after_a_pull_or_a_removal() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        app().pull(&stage.store).unwrap();
        remove(&app(), &stage.store);
        looked_at("a start after a crash", driver, stage.finish_twice());
    }
}

/// Prepares an image whose blobs came in an archive, or were made here.
fn load(sample: &Sample, store: &Store) {
    let lease = store.lease().unwrap();
    let mut commit = Commit::default();
    let chain = sample.chain();
    for (number, word) in sample.words.iter().enumerate() {
        let mut blob = store.blob_writer(&lease, spec::Algorithm::Sha256).unwrap();
        blob.write_all(word.as_bytes()).unwrap();
        let staged = store.stage(&lease).unwrap();
        if store.driver() == DriverKind::Overlay2 {
            fs::write(staged.path().join(word), word).unwrap();
            staged.tar_split().unwrap().write_all(word.as_bytes()).unwrap();
        }
        let record = LayerRecord {
            diff_id: sample.diff_ids()[number].clone(),
            parent: number.checked_sub(1).map(|below| chain[below].clone()),
            size: word.len() as u64,
            blob: Some(sample.blob(number)),
        };
        commit.layers.push((staged, record));
        commit.blobs.push(blob.finish());
    }
    let (config, manifest) = (sample.config(), sample.manifest());
    let kind = "application/vnd.oci.image.manifest.v1+json".into();
    let manifests = vec![Descriptor::new(kind, Digest::sha256(&manifest), manifest.len() as u64)];
    commit.blobs.extend([config.clone(), manifest].map(|b| VerifiedBlob::of_bytes(b.into())));
    commit.image =
        Some(NewImage { id: sample.id(), config: config.into(), manifests, parts: Vec::new() });
    commit.references = vec![(sample.name.clone(), sample.id())];
    store.commit(&lease, commit).unwrap();
}

fn has_name(sample: &Sample, store: &Store) {
    assert_eq!(store.references().unwrap().get(&sample.name), Some(sample.id()));
    assert!(store.image(&sample.id()).unwrap().is_some());
}

#[test]
fn a_load_or_an_import() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        stage.begin();
        load(&app(), &stage.store);
        stage.promise(|store| has_name(&app(), store));
        // One more image of the same layers, without a sync of any.
        let other = Sample { name: "other:1".parse_name(), ..app() };
        load(&other, &stage.store);
        stage.promise(|store| has_name(&Sample { name: "other:1".parse_name(), ..app() }, store));
        looked_at("a load", driver, stage.finish(|store| load(&app(), store)));
    }
}

/// A name in the short form.
trait ParseName {
    fn parse_name(&self) -> spec::Reference;
}

impl ParseName for str {
    fn parse_name(&self) -> spec::Reference {
        spec::Reference::parse_familiar(self).unwrap()
    }
}

#[test]
fn tags() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        let names = ["one:1", "two:2"];
        for name in names {
            let tag = name.parse_name();
            stage.store.update_references(|all| all.set(&tag, &base().id())).unwrap();
            stage.promise(move |store| {
                assert_eq!(store.references().unwrap().get(&name.parse_name()), Some(base().id()));
            });
        }
        stage.withdraw();
        let gone = names[1].parse_name();
        stage.store.update_references(|all| Ok(all.remove(&gone))).unwrap();
        stage.promise(move |store| assert_eq!(store.references().unwrap().get(&gone), None));
        looked_at("tags", driver, stage.finish(|_| ()));
    }
}

#[test]
fn what_a_push_and_a_build_note() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        pull(&app(), &stage.store);
        let there = || Repository::parse_familiar("registry.corp/app").unwrap();
        let diff_id = app().diff_ids()[0].clone();
        stage.begin();

        // Where a layer is now: the note is prepared, and another comes before it.
        let known = |name: &'static str| {
            let (diff_id, from) = (diff_id.clone(), source_in(name));
            move |store: &Store| assert!(store.sources_of(&diff_id).unwrap().contains(&from))
        };
        for name in ["registry.corp/a", "registry.corp/b"] {
            let lease = stage.store.lease().unwrap();
            let sources = vec![(diff_id.clone(), source_in(name))];
            stage.store.commit(&lease, Commit { sources, ..Commit::default() }).unwrap();
            stage.promise(known(name));
        }

        // Two at once: the second finds that its note is not what it was prepared for.
        let lease = stage.store.lease().unwrap();
        let names = ["registry.corp/c", "registry.corp/d"];
        let commits = names.map(|name| {
            let sources = vec![(diff_id.clone(), source_in(name))];
            Commit { sources, ..Commit::default() }
        });
        stage.store.commit_all(&lease, commits.into()).unwrap();
        for name in names {
            stage.promise(known(name));
        }

        // Where an upload goes on.
        let place = move |store: &Store| {
            let note: UploadNote = store.take_upload(&there(), &app().blob(0)).unwrap().unwrap();
            note.place().map(str::to_owned)
        };
        for at in ["https://registry.corp/1", "https://registry.corp/2"] {
            let mut note = stage.store.take_upload(&there(), &app().blob(0)).unwrap().unwrap();
            note.remember(at).unwrap();
            drop(note);
            stage.promise(move |store| assert_eq!(place(store).as_deref(), Some(at)));
            if at.ends_with('1') {
                stage.withdraw();
            }
        }

        // From which image another was made, and when it was tagged.
        stage.store.set_parent(&app().id(), &base().id()).unwrap();
        stage.promise(|s| assert_eq!(s.parent(&app().id()).unwrap(), Some(base().id())));
        let time = Timestamp::UNIX_EPOCH;
        stage.store.set_last_updated(&app().id(), time).unwrap();
        stage.promise(move |s| assert_eq!(s.last_updated(&app().id()).unwrap(), Some(time)));
        looked_at("notes", driver, stage.finish(|_| ()));
    }
}

fn source_in(repository: &str) -> crate::Source {
    source(&app().blob(0), &Repository::parse_familiar(repository).unwrap())
}

#[test]
fn a_removal() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        pull(&app(), &stage.store);
        stage.store.set_parent(&app().id(), &base().id()).unwrap();
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        assert!(!remove(&app(), &stage.store));
        stage.promise(|store| is_gone(&app(), store));
        stage.withdraw();
        pull(&app(), &stage.store);
        stage.promise(|store| is_there(&app(), store));
        let count = stage.finish(|store| pull(&app(), store));
        looked_at("a removal", driver, count);
    }
}

#[test]
fn a_removal_of_what_others_were_made_from() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        pull(&app(), &stage.store);
        stage.store.set_parent(&app().id(), &base().id()).unwrap();
        stage.promise(|store| is_there(&app(), store));
        stage.begin();
        assert!(!remove(&base(), &stage.store));
        stage.promise(|store| is_gone(&base(), store));
        looked_at("a removal of a parent", driver, stage.finish(|_| ()));
    }
}

#[test]
fn a_removal_that_a_running_operation_puts_off() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        pull(&base(), &stage.store);
        pull(&app(), &stage.store);
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        let lease = stage.store.lease().unwrap();
        lease.hold_image(&app().id()).unwrap();
        assert!(remove(&app(), &stage.store));
        drop(lease);
        stage.promise(|store| is_gone(&app(), store));
        looked_at("a removal that is put off", driver, stage.finish(|_| ()));
    }
}

#[test]
fn a_prune() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        let samples = [("one:1", ["a", "bb"]), ("two:1", ["a", "ccc"]), ("three:1", ["x", "y"])]
            .map(|(name, words)| Sample::new(name, &words));
        for sample in &samples {
            pull(sample, &stage.store);
        }
        let lease = stage.store.lease().unwrap();
        drop(stage.store.ingest(&lease, &Digest::sha256(b"left"), 4).unwrap());
        drop(lease);
        stage.begin();
        for sample in samples {
            remove(&sample, &stage.store);
            stage.promise(move |store| is_gone(&sample, store));
        }
        stage.store.discard_partial_downloads(None).unwrap();
        looked_at("a prune", driver, stage.finish(|_| ()));
    }
}

#[test]
fn a_layer_on_a_parent_that_somebody_else_committed() {
    for driver in drivers() {
        let stage = Stage::new(driver);
        let lease = stage.store.lease().unwrap();
        let commit = app().prepare(&stage.store, &lease).unwrap();
        pull(&base(), &stage.store);
        stage.promise(|store| is_there(&base(), store));
        stage.begin();
        stage.store.commit(&lease, commit).unwrap();
        drop(lease);
        stage.promise(|store| is_there(&app(), store));
        looked_at("a layer on another's", driver, stage.finish(|_| ()));
    }
}

#[test]
fn a_mount() {
    let directory = super::stage::in_memory();
    let place = directory.path().to_owned();
    let open = fs::File::open(&place).unwrap();
    if !drivers().contains(&DriverKind::Overlay2) {
        return;
    }
    let stage = Stage::new(DriverKind::Overlay2);
    pull(&app(), &stage.store);
    stage.promise(|store| is_there(&app(), store));
    stage.begin();
    let image = stage.store.image(&app().id()).unwrap().unwrap();
    let mounted = stage.store.mount(&image, std::os::fd::AsFd::as_fd(&open), None);
    if let Err(error) = mounted {
        eprintln!("skipped: {error}");
        return;
    }
    let is_noted = |store: &Store, place: &Path| {
        store.mounts().unwrap().iter().any(|mount| mount.directory == place)
    };
    assert!(is_noted(&stage.store, &place));
    stage.store.unmount(&place).unwrap();
    assert!(!is_noted(&stage.store, &place));
    looked_at("a mount", DriverKind::Overlay2, stage.finish(|_| ()));
}
