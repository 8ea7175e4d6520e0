//! The power goes at any operation of a repair: the next one makes the root sound.

use std::fs;
use std::io::Write as _;

use spec::{Descriptor, Digest};

use super::power::{app, pull};
use super::stage::Stage;
use crate::tests::support::{assert_sound, drivers};
use crate::{DriverKind, LayerRecord, Store, VerifiedBlob};

/// Damage to an image, and its repair.
type Repair = (&'static str, fn(&Store), fn(&Store));

fn mend_all(store: &Store) {
    for finding in store.check().unwrap().findings {
        assert!(store.mend(&finding).unwrap(), "{finding}");
    }
}

fn directory(store: &Store, number: usize) -> std::path::PathBuf {
    let layer = store.layer(&app().chain()[number]).unwrap().unwrap();
    store.paths().overlay_layer(&layer.cache_id)
}

const REPAIRS: [Repair; 6] = [
    (
        "a config is damaged",
        |store| fs::write(store.paths().config(&app().id()), "{}").unwrap(),
        mend_all,
    ),
    (
        "a copy of a config is damaged",
        |store| {
            let path = store.paths().blob(app().id().digest());
            fs::write(path, "{}").unwrap();
        },
        |store| {
            let mut report = store.check().unwrap();
            report.add_blob(app().id().digest(), "damaged".to_owned());
            for finding in &report.findings {
                assert!(store.mend(finding).unwrap(), "{finding}");
            }
        },
    ),
    (
        "a manifest is damaged",
        |store| {
            let path = store.paths().blob(app().digest_name().digest().unwrap());
            fs::remove_file(path).unwrap();
        },
        |store| {
            store.replace_blob(&VerifiedBlob::of_bytes(app().manifest().into())).unwrap();
        },
    ),
    (
        "the list of manifests is damaged",
        |store| fs::write(store.paths().content_index(), "{").unwrap(),
        mend_all,
    ),
    (
        "a manifest is not listed",
        |store| {
            let empty = br#"{"schemaVersion":2,"mediaType":"x","manifests":[]}"#;
            fs::write(store.paths().content_index(), empty).unwrap();
            fs::remove_file(store.paths().blob(app().digest_name().digest().unwrap())).unwrap();
        },
        |store| {
            let bytes = app().manifest();
            let kind = "application/vnd.oci.image.manifest.v1+json".into();
            let descriptor = Descriptor::new(kind, Digest::sha256(&bytes), bytes.len() as u64);
            store.keep_manifests(&app().id(), &[(descriptor, bytes.into())]).unwrap();
        },
    ),
    (
        "a blob is gone",
        |store| fs::remove_file(store.paths().blob(&app().blob(2))).unwrap(),
        bring_blob,
    ),
];

/// Downloads a blob, anew where bytes from before a crash turn out wrong.
fn bring_blob(store: &Store) {
    let lease = store.lease().unwrap();
    let download = || {
        let ingest = store.ingest(&lease, &app().blob(2), 3)?;
        for missing in ingest.missing() {
            let start = usize::try_from(missing.start).unwrap();
            ingest.writer(missing)?.write(&b"ccc"[start..])?;
        }
        ingest.verify()
    };
    let blob = download().or_else(|_| download()).unwrap();
    store.replace_blob(&blob).unwrap();
}

const OVERLAY_REPAIRS: [Repair; 6] = [
    (
        "a link is gone",
        |store| {
            let link = fs::read_to_string(directory(store, 1).join("link")).unwrap();
            fs::remove_file(store.paths().overlay_links().join(link)).unwrap();
        },
        mend_all,
    ),
    (
        "a short name is gone",
        |store| fs::remove_file(directory(store, 1).join("link")).unwrap(),
        mend_all,
    ),
    (
        "a list of layers below is wrong",
        |store| fs::write(directory(store, 2).join("lower"), "l/X").unwrap(),
        mend_all,
    ),
    ("the files of a layer are gone", |store| lose_files(store), restore_layer),
    (
        "the entry of a layer is damaged",
        |store| fs::write(store.paths().layer(&app().chain()[1]).join("size"), "x").unwrap(),
        restore_layer,
    ),
    (
        "the directory of a layer is gone",
        |store| fs::remove_dir_all(directory(store, 1)).unwrap(),
        restore_layer,
    ),
];

fn lose_files(store: &Store) {
    fs::remove_dir_all(directory(store, 1).join("diff")).unwrap();
}

fn restore_layer(store: &Store) {
    let lease = store.lease().unwrap();
    let staged = store.stage(&lease).unwrap();
    fs::write(staged.path().join("bb"), "bb").unwrap();
    staged.tar_split().unwrap().write_all(b"bb").unwrap();
    let record = LayerRecord {
        diff_id: app().diff_ids()[1].clone(),
        parent: Some(app().chain()[0].clone()),
        size: 2,
        blob: None,
    };
    store.replace_layer(&app().chain()[1], &staged, &record).unwrap();
    drop(lease);
    mend_all(store);
}

#[test]
fn repairs() {
    for driver in drivers() {
        let more = if driver == DriverKind::Overlay2 { &OVERLAY_REPAIRS[..] } else { &[] };
        for (what, damage, repair) in REPAIRS.iter().chain(more) {
            let stage = Stage::new(driver);
            pull(&app(), &stage.store);
            damage(&stage.store);
            stage.expect_damages();
            stage.begin();
            repair(&stage.store);
            stage.expect_damages();
            let count = stage.finish(|store| {
                repair(store);
                assert_sound(store);
            });
            eprintln!("{what}, {driver}: {count} trees after a power cut");
        }
    }
}
