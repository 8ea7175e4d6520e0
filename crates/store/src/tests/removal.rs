//! Removal: the things that go with an image and those that stay.

use std::fs;

use spec::Digest;

use super::support::{Root, Sample, assert_sound, drivers};
use crate::{Commit, DriverKind, NewImage, StoreError, files};

#[test]
fn shared_layers_stay_and_the_rest_goes_from_the_top() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let one = Sample::new("one:1", &["a", "bb", "ccc", "dddd"]);
        let two = Sample::new("two:1", &["a", "bb", "eeeee"]);
        one.pull(store).unwrap();
        two.pull(store).unwrap();
        match store.remove_image(&one.id()) {
            Err(StoreError::Referenced { references, .. }) => {
                assert_eq!(references, ["one:1".to_owned(), one.digest_name().familiar()]);
            }
            other => panic!("{other:?}"),
        }
        one.untag(store);
        let removed = store.remove_image(&one.id()).unwrap();
        assert_eq!(removed.layers, [one.chain()[3].clone(), one.chain()[2].clone()]);
        assert!(!removed.deferred);
        assert_sound(store);
        assert!(matches!(store.remove_image(&one.id()), Err(StoreError::NoImage(_))));

        two.untag(store);
        let removed = store.remove_image(&two.id()).unwrap();
        let mut expected = two.chain();
        expected.reverse();
        assert_eq!(removed.layers, expected);
        assert_sound(store);
        assert!(files::names(&store.paths().content().join("blobs/sha256")).unwrap().is_empty());
    }
}

#[test]
fn a_manifest_that_cannot_be_read_keeps_no_other_image() {
    for driver in drivers() {
        for damage in [&b"{\"layers\":7}"[..], b"not JSON", b""] {
            let root = Root::new(driver);
            let one = Sample::new("one:1", &["a", "bb", "ccc"]);
            let two = Sample::new("two:1", &["a", "dddd"]);
            one.pull(&root.store).unwrap();
            two.pull(&root.store).unwrap();
            let manifest = root.store.paths().blob(&Digest::sha256(&one.manifest()));
            if damage.is_empty() {
                fs::remove_file(&manifest).unwrap();
            } else {
                fs::write(&manifest, damage).unwrap();
            }
            // A store that has not read it before.
            let store = &root.reopen();

            // What the other image alone needs goes, and what the damaged one needs stays.
            two.untag(store);
            store.remove_image(&two.id()).unwrap();
            assert!(store.image(&two.id()).unwrap().is_none());
            assert_eq!(store.blob(&two.blob(1)).unwrap(), None);
            for number in 0..3 {
                assert!(store.blob(&one.blob(number)).unwrap().is_some(), "{number}");
            }

            // It goes itself, with all that it brought.
            one.untag(store);
            store.remove_image(&one.id()).unwrap();
            assert!(
                files::names(&store.paths().content().join("blobs/sha256")).unwrap().is_empty()
            );
            assert!(files::names(&store.paths().layers()).unwrap().is_empty());
        }
    }
}

#[test]
fn what_is_leased_stays_until_the_lease_ends() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let sample = Sample::new("app:1", &["a", "bb", "ccc"]);
        let manifest =
            sample.prepare(store, &store.lease().unwrap()).unwrap().image.unwrap().manifests;
        let manifest = &manifest[0].digest;

        // A layer: it and what it stands on stay, the image and the layer on top go.
        sample.pull(store).unwrap();
        let lease = store.lease().unwrap();
        lease.hold_layer(&sample.chain()[1]).unwrap();
        sample.untag(store);
        let removed = store.remove_image(&sample.id()).unwrap();
        assert_eq!(removed.layers, [sample.chain()[2].clone()]);
        assert!(store.layer(&sample.chain()[1]).unwrap().is_some());
        drop(lease);
        assert_eq!(store.layer(&sample.chain()[0]).unwrap(), None);
        assert_sound(store);

        // A blob.
        sample.pull(store).unwrap();
        let lease = store.lease().unwrap();
        lease.hold_blob(manifest).unwrap();
        sample.untag(store);
        store.remove_image(&sample.id()).unwrap();
        assert!(store.blob(manifest).unwrap().is_some());
        drop(lease);
        assert_sound(store);
        assert_eq!(store.blob(manifest).unwrap(), None);

        // An image: all of it stays, for whoever opens the root after both are gone as well.
        sample.pull(store).unwrap();
        let lease = store.lease().unwrap();
        lease.hold_image(&sample.id()).unwrap();
        sample.untag(store);
        let removed = store.remove_image(&sample.id()).unwrap();
        assert!(removed.deferred && removed.layers.is_empty());
        assert!(store.image(&sample.id()).unwrap().is_some());
        drop(lease);
        assert_eq!(store.image(&sample.id()).unwrap(), None);
        assert_sound(store);
    }
}

#[test]
fn a_deferred_image_that_gets_a_name_again_stays() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a"]);
    sample.pull(store).unwrap();
    let lease = store.lease().unwrap();
    lease.hold_image(&sample.id()).unwrap();
    sample.untag(store);
    assert!(store.remove_image(&sample.id()).unwrap().deferred);
    let references = vec![(sample.name.clone(), sample.id())];
    store.commit(&lease, Commit { references, ..Commit::default() }).unwrap();
    drop(lease);
    assert!(store.image(&sample.id()).unwrap().is_some());
    assert_sound(store);
}

#[test]
fn a_lease_of_a_dead_process_protects_nothing() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a"]);
    sample.pull(store).unwrap();
    let text = format!("hold layer {}\nhold image {}\n", sample.chain()[0], sample.id());
    fs::write(store.paths().leases().join("0123456789abcdef"), text).unwrap();
    sample.untag(store);
    let removed = store.remove_image(&sample.id()).unwrap();
    assert_eq!(removed.layers, sample.chain());
    assert_sound(&root.reopen());
}

#[test]
fn layers_of_containers_and_of_builds_are_not_ours_to_remove() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a", "bb", "ccc", "dddd"]);
    sample.pull(store).unwrap();
    let chain = sample.chain();
    // A container on the second layer, and on the third a layer that no image has.
    let mount = store.paths().mounts().join("0f".repeat(32));
    fs::create_dir_all(&mount).unwrap();
    fs::write(mount.join("parent"), chain[1].to_string()).unwrap();
    let other = spec::ChainId::new(spec::Digest::sha256(b"build"));
    let entry = store.paths().layer(&other);
    fs::create_dir(&entry).unwrap();
    for name in ["diff", "size", "cache-id", "longshore-blob"] {
        fs::copy(store.paths().layer(&chain[2]).join(name), entry.join(name)).unwrap();
    }
    fs::write(entry.join("parent"), chain[2].to_string()).unwrap();
    // dockerd's own removal in progress is no layer.
    let removing = format!("{}-{}-removing", "0".repeat(64), "1".repeat(64));
    fs::create_dir(store.paths().layers().join(&removing)).unwrap();

    sample.untag(store);
    let removed = store.remove_image(&sample.id()).unwrap();
    assert_eq!(removed.layers, [chain[3].clone()]);
    let store = root.reopen();
    for chain in &chain[..3] {
        assert!(store.layer(chain).unwrap().is_some());
    }
    assert!(entry.exists() && store.paths().layers().join(removing).exists());
}

#[test]
fn a_damaged_image_can_go_and_makes_others_careful() {
    let root = Root::packed();
    let (good, bad) = (Sample::new("good:1", &["a"]), Sample::new("bad:1", &["bb"]));
    good.pull(&root.store).unwrap();
    bad.pull(&root.store).unwrap();
    fs::write(root.store.paths().config(&bad.id()), "{}").unwrap();
    let store = root.reopen();
    good.untag(&store);
    assert!(store.remove_image(&good.id()).unwrap().layers.is_empty(), "it may need any layer");
    assert_eq!(store.image(&good.id()).unwrap(), None);
    bad.untag(&store);
    store.remove_image(&bad.id()).unwrap();
    assert!(store.images().unwrap().is_empty());
}

#[test]
fn children_forget_a_parent_that_goes() {
    let root = Root::packed();
    let store = &root.store;
    let (parent, child) = (Sample::new("a:1", &["a"]), Sample::new("b:1", &["a", "bb"]));
    parent.pull(store).unwrap();
    child.pull(store).unwrap();
    store.set_parent(&child.id(), &parent.id()).unwrap();
    parent.untag(store);
    assert!(store.remove_image(&parent.id()).unwrap().layers.is_empty());
    assert_eq!(store.parent(&child.id()).unwrap(), None);
    assert_sound(store);
}

#[test]
fn what_dockerd_removed_is_forgotten_at_the_next_start() {
    if !drivers().contains(&DriverKind::Overlay2) {
        return;
    }
    let root = Root::new(DriverKind::Overlay2);
    let (one, two) = (Sample::new("one:1", &["a", "bb"]), Sample::new("two:1", &["a", "ccc"]));
    one.pull(&root.store).unwrap();
    two.pull(&root.store).unwrap();
    // As `docker rmi one:1` does it.
    let paths = root.store.paths();
    let top = &one.chain()[1];
    let layer = root.store.layer(top).unwrap().unwrap();
    let directory = paths.overlay_layer(&layer.cache_id);
    let link = fs::read_to_string(directory.join("link")).unwrap();
    one.untag(&root.store);
    fs::remove_file(paths.config(&one.id())).unwrap();
    fs::remove_dir_all(paths.layer(top)).unwrap();
    fs::remove_file(paths.overlay_links().join(link)).unwrap();
    fs::remove_dir_all(directory).unwrap();

    let store = root.reopen();
    assert_sound(&store);
    assert_eq!(store.blob(&one.blob(1)).unwrap(), None);
    assert!(store.blob(&one.blob(0)).unwrap().is_some(), "the other image has it, too");
}

/// A push that ends when somebody has taken the name away notes nothing of the image, so that it does not come back under its digest.
#[test]
fn what_was_removed_meanwhile_stays_gone() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let one = Sample::new("one:1", &["a", "bb"]);
        one.pull(store).unwrap();
        let noted = || Commit {
            image: Some(NewImage {
                id: one.id(),
                config: one.config().into(),
                manifests: Vec::new(),
                parts: Vec::new(),
            }),
            references: vec![(one.digest_name(), one.id())],
            while_named: Some(spec::Reference::parse_familiar("one:1").unwrap()),
            ..Commit::default()
        };
        let lease = store.lease().unwrap();
        lease.hold_image(&one.id()).unwrap();
        store.commit(&lease, noted()).unwrap();
        one.untag(store);
        assert!(store.remove_image(&one.id()).unwrap().deferred);
        assert!(matches!(store.commit(&lease, noted()), Err(StoreError::NoImage(_))));
        drop(lease);
        assert_eq!(store.images().unwrap(), []);
        assert_sound(store);
        assert!(files::names(&store.paths().content().join("blobs/sha256")).unwrap().is_empty());
    }
}
