//! Damages are found, told in words, and mended where they can be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::support::{Root, Sample, assert_sound, drivers};
use crate::{CheckReport, DriverKind, LayerRecord, Remedy, Store, Want};

fn sample() -> Sample {
    Sample::new("app:1", &["a", "bb", "ccc"])
}

/// The report as lines, hashes named: `@i` the image, `@0` … the layers, `@d0` … their directories, `@l0` … their links.
fn lines(store: &Store, report: &CheckReport) -> Vec<String> {
    let sample = sample();
    let mut names = vec![(sample.id().to_string(), "@i".to_owned())];
    for (number, chain) in sample.chain().iter().enumerate() {
        names.push((chain.to_string(), format!("@{number}")));
        names.push((sample.blob(number).to_string(), format!("@b{number}")));
        let entry = store.paths().layer(chain);
        if let Ok(cache_id) = fs::read_to_string(entry.join("cache-id")) {
            let link = store.paths().overlay_layer(&cache_id).join("link");
            names.push((cache_id, format!("@d{number}")));
            if let Ok(link) = fs::read_to_string(link) {
                names.push((link, format!("@l{number}")));
            }
        }
    }
    let shown = report.findings.iter().map(|finding| {
        let text =
            names.iter().fold(finding.to_string(), |text, (hash, name)| text.replace(hash, name));
        format!("{:?}: {}", finding.remedy(), without_hashes(&text))
    });
    shown.collect()
}

/// Puts `…` in the place of what looks like a hash.
fn without_hashes(text: &str) -> String {
    let is_hash = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let words = text.split_inclusive([':', '/', ' ']).map(|word| {
        let part = word.trim_end_matches([':', '/', ' ']);
        if is_hash(part) { word.replacen(part, "…", 1) } else { word.to_owned() }
    });
    words.collect()
}

/// The directory of a layer.
fn directory(store: &Store, number: usize) -> PathBuf {
    let layer = store.layer(&sample().chain()[number]).unwrap().unwrap();
    store.paths().overlay_layer(&layer.cache_id)
}

fn mend_all(store: &Store, report: &CheckReport) {
    for finding in &report.findings {
        assert!(store.mend(finding).unwrap(), "{finding}");
    }
}

#[test]
fn a_sound_store_has_no_findings() {
    for driver in drivers() {
        let root = Root::new(driver);
        assert_eq!(lines(&root.store, &root.store.check().unwrap()), [""; 0], "empty");
        sample().pull(&root.store).unwrap();
        let report = root.store.check().unwrap();
        assert_eq!(lines(&root.store, &report), [""; 0], "{driver:?}");
        assert_eq!((report.references, report.images, report.layers, report.blobs), (2, 1, 3, 5));
        assert_eq!(report.whole_layers().len(), 3);
        assert_eq!(report.kept_blobs().count(), 4);
    }
}

/// A damage done to a store, and the findings.
type Case = (&'static str, fn(&Store), &'static [&'static str]);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_damage_is_found_and_mended() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let table: [Case; 14] = [
        (
            "a config that is not what its name says",
            |store| {
                let path = store.paths().config(&sample().id());
                fs::write(path, "{}").unwrap();
            },
            &["Mend: image @i: its config does not match its ID"],
        ),
        (
            "a reference to nothing",
            |store| {
                let path = store.paths().repositories();
                let text = fs::read_to_string(&path).unwrap();
                let zeros = "0".repeat(64);
                let new = format!(r#"{{"Repositories":{{"b":{{"b:1":"sha256:{zeros}"}},"#);
                fs::write(&path, text.replacen(r#"{"Repositories":{"#, &new, 1)).unwrap();
            },
            &["Remove: reference b:1: its image \
               sha256:… is not here"],
        ),
        (
            "a missing link",
            |store| fs::remove_file(directory(store, 1).join("link")).unwrap(),
            &["Mend: layer @1: overlay2/@d1/link: it names no link"],
        ),
        (
            "a missing link and its name",
            |store| {
                let path = directory(store, 0).join("link");
                let link = fs::read_to_string(&path).unwrap();
                fs::remove_file(path).unwrap();
                fs::remove_file(store.paths().overlay_links().join(link)).unwrap();
            },
            &["Mend: layer @0: overlay2/@d0/link: it names no link"],
        ),
        (
            "a link that leads astray",
            |store| {
                let link = fs::read_to_string(directory(store, 2).join("link")).unwrap();
                let path = store.paths().overlay_links().join(link);
                fs::remove_file(&path).unwrap();
                symlink("../elsewhere/diff", path).unwrap();
            },
            &[
                "Mend: layer @2: overlay2/l/@l2 leads to ../elsewhere/diff",
                "Remove: overlay2/l/@l2: it leads to nothing",
            ],
        ),
        (
            "a broken lower",
            |store| fs::write(directory(store, 2).join("lower"), "l/NOWHERE").unwrap(),
            &["Mend: layer @2: overlay2/@d2/lower does not list the layers below it"],
        ),
        (
            "no lower and no work",
            |store| {
                fs::remove_file(directory(store, 1).join("lower")).unwrap();
                fs::remove_dir(directory(store, 1).join("work")).unwrap();
            },
            &[
                "Mend: layer @1: overlay2/@d1/lower is gone",
                "Mend: layer @1: overlay2/@d1/work is gone",
            ],
        ),
        (
            "an orphan layer",
            |store| {
                let other = Sample::new("other:1", &["a", "dddd"]);
                other.pull(store).unwrap();
                other.untag(store);
                fs::remove_file(store.paths().config(&other.id())).unwrap();
                let lease = store.lease().unwrap();
                let transaction = store.transaction().unwrap();
                store.remove_manifests(&transaction, &other.id()).unwrap();
                drop((transaction, lease));
                for digest in [&other.blob(1), &spec::Digest::sha256(&other.config())] {
                    fs::remove_file(store.paths().blob(digest)).unwrap();
                }
                let manifest = other.digest_name().digest().unwrap().clone();
                fs::remove_file(store.paths().blob(&manifest)).unwrap();
            },
            &["Remove: layer \
               sha256:…: nothing uses it"],
        ),
        (
            "a directory that is no layer's",
            |store| fs::create_dir_all(store.paths().overlay_layer("abc123").join("diff")).unwrap(),
            &["Remove: overlay2/abc123: it is no layer's"],
        ),
        (
            "a copy of the config of another size",
            |store| fs::write(store.paths().blob(sample().id().digest()), "{}").unwrap(),
            &["Mend: blob @i: its size is 2 instead of 299 bytes"],
        ),
        (
            "a list of manifests that is torn",
            |store| fs::write(store.paths().content_index(), "{\"schemaVersion\":2,").unwrap(),
            &[
                "Mend: longshore/content/index.json: EOF while parsing an object at line 1 column 19",
            ],
        ),
        (
            "a config that is gone",
            |store| fs::remove_file(store.paths().config(&sample().id())).unwrap(),
            &[
                "Mend: reference app:1: its image @i is not here",
                "Mend: reference app@sha256:…: its image @i is not here",
            ],
        ),
        (
            "a blob that nothing mentions",
            |store| {
                let digest = spec::Digest::sha256(b"stray");
                fs::write(store.paths().blob(&digest), "stray").unwrap();
            },
            &["Remove: blob \
               sha256:…: nothing mentions it"],
        ),
        (
            "notes of no image",
            |store| {
                let id = spec::ImageId::new(spec::Digest::sha256(b"none"));
                fs::create_dir(store.paths().image_metadata(&id)).unwrap();
            },
            &["Remove: image/overlay2/imagedb/metadata/sha256/…: it belongs to no image"],
        ),
    ];
    for (what, harm, expected) in table {
        let root = Root::new(DriverKind::Overlay2);
        sample().pull(&root.store).unwrap();
        harm(&root.store);
        // As another process would see it.
        let store = root.reopen();
        let report = store.check().unwrap();
        let found = lines(&store, &report);
        assert_eq!(found, expected, "{what}");
        mend_all(&store, &report);
        // One mended thing may show another, as a new short name in all lists above.
        let again = store.check().unwrap();
        mend_all(&store, &again);
        assert_eq!(lines(&store, &store.check().unwrap()), [""; 0], "{what}");
        assert_sound(&root.reopen());
    }
}

#[test]
fn content_that_is_gone_is_wanted_again() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let sample = sample();
        sample.pull(store).unwrap();
        let chain = sample.chain()[1].clone();
        match driver {
            DriverKind::Overlay2 => fs::remove_dir_all(directory(store, 1).join("diff")).unwrap(),
            DriverKind::Packed => fs::remove_file(store.paths().blob(&sample.blob(1))).unwrap(),
        }
        let report = root.reopen().check().unwrap();
        let wanted: Vec<_> = report.findings.iter().filter_map(|f| f.want()).collect();
        assert_eq!(wanted, [&Want::Layer(chain.clone())], "{driver:?}");
        assert_eq!(report.findings[0].remedy(), Remedy::Fetch);
        if driver == DriverKind::Overlay2 {
            let lease = store.lease().unwrap();
            let staged = store.stage(&lease).unwrap();
            fs::write(staged.path().join("bb"), "bb").unwrap();
            staged.tar_split().unwrap();
            let record = LayerRecord {
                diff_id: sample.diff_ids()[1].clone(),
                parent: Some(sample.chain()[0].clone()),
                size: 2,
                blob: None,
            };
            store.replace_layer(&chain, &staged, &record).unwrap();
            drop((staged, lease));
            assert_eq!(lines(store, &store.check().unwrap()), [""; 0]);
            assert_sound(&root.reopen());
        }
    }
}

#[test]
fn what_others_use_is_no_orphan() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = Root::new(DriverKind::Overlay2);
    let store = &root.store;
    sample().pull(store).unwrap();
    let lease = store.lease().unwrap();
    let other = Sample::new("other:1", &["x", "yy"]);
    other.pull(store).unwrap();
    other.untag(store);
    lease.hold_layer(&other.chain()[1]).unwrap();
    store.remove_image(&other.id()).unwrap();
    assert_eq!(lines(store, &store.check().unwrap()), [""; 0], "a running operation holds it");

    // dockerd's builder and its containers.
    let buildkit = store.root().join("buildkit");
    fs::create_dir(&buildkit).unwrap();
    let stray = store.paths().overlay_layer("abcdef");
    fs::create_dir(&stray).unwrap();
    fs::write(buildkit.join("snapshots.db"), b"\0..abcdef..\0").unwrap();
    assert_eq!(lines(store, &store.check().unwrap()), [""; 0], "the builder's");
    fs::remove_dir_all(buildkit).unwrap();
    let mount = store.paths().mounts().join("c0ffee");
    fs::create_dir_all(&mount).unwrap();
    fs::write(mount.join("mount-id"), "abcdef").unwrap();
    fs::write(mount.join("parent"), sample().chain()[2].to_string()).unwrap();
    assert_eq!(lines(store, &store.check().unwrap()), [""; 0], "a container's");
}
