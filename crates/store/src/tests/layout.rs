//! The files that a commit leaves on the disk, and reading them back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use spec::{Digest, ImageId, Reference};

use super::support::{Root, Sample, assert_sound, drivers, source};
use crate::{Commit, DriverKind, NewImage, PrefixMatch, Store, StoreError, StoreOptions, files};

#[test]
fn reads_back_what_was_committed() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let sample = Sample::new("me/app:1", &["a", "bb", "ccc"]);
        let moved = sample.pull(store).unwrap().moved;
        assert!(moved.iter().all(|moved| moved.before.is_none()), "{driver}");
        assert_sound(store);

        let image = store.image(&sample.id()).unwrap().unwrap();
        assert_eq!(image.config.bytes().as_ref(), sample.config());
        assert_eq!(image.layers, sample.chain());
        let top = store.layer(&sample.chain()[2]).unwrap().unwrap();
        assert_eq!((top.size, top.parent.as_ref()), (3, Some(&sample.chain()[1])));
        assert_eq!(store.layer_size(&sample.chain()[1]).unwrap(), Some(2));
        let references = store.references().unwrap();
        assert_eq!(references.get(&sample.name), Some(sample.id()));
        assert_eq!(references.get(&sample.digest_name()), Some(sample.id()));
        let manifests = store.manifests_of(&sample.id()).unwrap();
        assert_eq!(manifests.len(), 1);
        assert!(manifests[0].annotations.is_empty());
        let blob = sample.blob(1);
        assert_eq!(store.read_blob(&blob, 2).unwrap().unwrap().as_ref(), b"bb");
        let diff_id = store.diff_id_of(&blob).unwrap().unwrap();
        assert_eq!(diff_id, sample.diff_ids()[1]);
        let expected = [source(&blob, sample.name.repository())];
        assert_eq!(store.sources_of(&diff_id).unwrap(), expected);

        // Another one on the same layers: nothing is there twice, and the tag moves.
        let next = Sample::new("me/app:1", &["a", "bb", "dddd"]);
        let moved = next.pull(store).unwrap().moved;
        assert_eq!(moved[0].before, Some(sample.id()));
        assert_eq!(moved[1].before, None);
        assert_sound(store);
        assert_eq!(store.layer_parents().unwrap().len(), 4);
        assert_sound(&root.reopen());
    }
}

#[test]
fn names_modes_and_owners_are_dockerds() {
    if !drivers().contains(&DriverKind::Overlay2) {
        return;
    }
    let root = Root::new(DriverKind::Overlay2);
    let sample = Sample::new("app:1", &["a", "bb", "ccc"]);
    sample.pull(&root.store).unwrap();
    let lease = root.store.lease().unwrap();
    root.store.set_last_updated(&sample.id(), "2026-11-21T18:56:45.08Z".parse().unwrap()).unwrap();
    drop(lease);

    let mut found = Vec::new();
    for top in ["image", "overlay2"] {
        list(&root.store.root().join(top), root.store.root(), &mut found);
    }
    let mut names: Vec<(String, String)> = Vec::new();
    for (number, (chain, word)) in sample.chain().iter().zip(["base", "middle", "top"]).enumerate()
    {
        let layer = root.store.layer(chain).unwrap().unwrap();
        let directory = root.store.paths().overlay_layer(&layer.cache_id);
        names.push((fs::read_to_string(directory.join("link")).unwrap(), format!("<link {word}>")));
        names.push((layer.cache_id, format!("<cache {word}>")));
        names.push((sample.diff_ids()[number].digest().hex(), format!("<diff {word}>")));
        names.push((chain.digest().hex(), format!("<chain {word}>")));
        names.push((sample.blob(number).hex(), format!("<blob {word}>")));
    }
    names.push((sample.id().digest().hex(), "<image>".to_owned()));
    let mut text = found.join("\n");
    for (name, meaning) in &names {
        text = text.replace(name, meaning);
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| line.split(' ').next_back());
    lines.sort_by_key(|line| line.split_once(' ').unwrap().1);
    // The listing of a root that dockerd 20.10 made by `docker pull` of an image of three layers, under the same names.
    let recorded: Vec<&str> = include_str!("../testdata/layout.txt").lines().collect();
    assert_eq!(lines, recorded, "\n{}\n", lines.join("\n"));
    assert_eq!(fs::metadata(root.store.root()).unwrap().permissions().mode() & 0o7777, 0o710);
}

/// Lists a tree as `mode kind path [-> target]`.
fn list(path: &Path, root: &Path, lines: &mut Vec<String>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (0, 0));
    let name = path.strip_prefix(root).unwrap().display();
    let mode = metadata.mode() & 0o7777;
    if metadata.is_symlink() {
        let target = fs::read_link(path).unwrap();
        lines.push(format!("{mode:o} {name} -> {}", target.display()));
    } else if metadata.is_dir() {
        lines.push(format!("{mode:o} {name}/"));
        for entry in fs::read_dir(path).unwrap() {
            list(&entry.unwrap().path(), root, lines);
        }
    } else {
        // What identifies a layer is in small files; the rest differs from build to build.
        let text = fs::read_to_string(path).unwrap_or_default();
        let small = ["diff", "parent", "cache-id", "link", "lower"];
        let file = path.file_name().unwrap().to_str().unwrap();
        let is_note = path.to_str().unwrap().contains("diffid-by-digest");
        let shown =
            if small.contains(&file) || is_note { format!(" = {text}") } else { String::new() };
        lines.push(format!("{mode:o} {name}{shown}"));
    }
}

#[test]
fn without_kept_blobs_only_the_small_ones_stay() {
    if !drivers().contains(&DriverKind::Overlay2) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        root: directory.path().join("root"),
        driver: Some(DriverKind::Overlay2),
        keep_blobs: false,
    };
    let store = Store::open(options).unwrap();
    let sample = Sample::new("app:1", &["a", "bb"]);
    sample.pull(&store).unwrap();
    assert_eq!(store.blob(&sample.blob(0)).unwrap(), None);
    assert!(store.blob(&Digest::sha256(&sample.manifest())).unwrap().is_some());
    assert!(store.layer_path(&sample.chain()[1]).unwrap().unwrap().join("bb").exists());
    assert!(files::names(&store.paths().ingest()).unwrap().is_empty());
}

type Spoil = fn(&mut Commit, &Sample);

#[test]
fn a_bad_commit_publishes_nothing() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a", "bb"]);
    let other = Sample::new("app:1", &["other"]);
    let cases: [(&str, Spoil); 6] = [
        ("does not match its digest", |commit, other| {
            commit.image.as_mut().unwrap().config = other.config().into();
        }),
        ("layer does not exist", |commit, _| _ = commit.layers.remove(0)),
        ("layer does not exist", |commit, other| {
            let image = NewImage {
                id: other.id(),
                config: other.config().into(),
                manifests: vec![],
                parts: vec![],
            };
            commit.image = Some(image);
        }),
        ("blob does not exist", |commit, _| _ = commit.blobs.remove(1)),
        ("blob does not exist", |commit, _| _ = commit.blobs.remove(2)),
        ("no such image", |commit, other| commit.references[0].1 = other.id()),
    ];
    for (part, spoil) in cases {
        let lease = store.lease().unwrap();
        let mut commit = sample.prepare(store, &lease).unwrap();
        spoil(&mut commit, &other);
        let error = store.commit(&lease, commit).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        drop(lease);
        assert_sound(store);
        assert!(store.images().unwrap().is_empty(), "{part}");
    }
    sample.pull(store).unwrap();
    assert_sound(store);
}

#[test]
fn layers_without_an_image_go_with_their_lease() {
    for driver in drivers() {
        let root = Root::new(driver);
        let sample = Sample::new("app:1", &["a", "bb"]);
        let lease = root.store.lease().unwrap();
        let commit = sample.prepare(&root.store, &lease).unwrap();
        let layers = Commit { blobs: commit.blobs, layers: commit.layers, ..Commit::default() };
        root.store.commit(&lease, layers).unwrap();
        assert!(root.store.layer(&sample.chain()[1]).unwrap().is_some());
        drop(lease);
        assert_eq!(root.store.layer(&sample.chain()[1]).unwrap(), None);
        assert_sound(&root.store);
    }
}

#[test]
fn finds_images_by_the_beginning_of_their_ids() {
    let root = Root::packed();
    let store = &root.store;
    let mut ids = Vec::new();
    for number in 0..40 {
        let sample = Sample::new("app:1", &[&format!("{number}")]);
        let config = sample.config();
        let lease = store.lease().unwrap();
        let mut commit = sample.prepare(store, &lease).unwrap();
        commit.references.clear();
        store.commit(&lease, commit).unwrap();
        ids.push(ImageId::new(Digest::sha256(&config)));
    }
    for id in &ids {
        let hex = id.digest().hex();
        assert_eq!(store.find_image_prefix(&hex).unwrap(), PrefixMatch::One(id.clone()));
        let same = |length: usize| {
            ids.iter().filter(|id| id.digest().hex().starts_with(&hex[..length])).count()
        };
        for length in 1..6 {
            let expected = match same(length) {
                1 => PrefixMatch::One(id.clone()),
                _ => PrefixMatch::Ambiguous,
            };
            assert_eq!(store.find_image_prefix(&hex[..length]).unwrap(), expected);
        }
    }
    for none in ["", "zz", "../", "sha256", &"0".repeat(64), &"0".repeat(65)] {
        assert_eq!(store.find_image_prefix(none).unwrap(), PrefixMatch::None, "{none}");
    }
    assert_eq!(store.images().unwrap().len(), 40);
    assert_sound(store);
}

#[test]
fn damage_is_reported_and_not_believed() {
    let root = Root::packed();
    let sample = Sample::new("app:1", &["a", "bb"]);
    sample.pull(&root.store).unwrap();
    let paths = root.store.paths();
    let layer = paths.layer(&sample.chain()[0]);
    for (path, content) in [
        (paths.config(&sample.id()), "{}"),
        (paths.blob(&sample.blob(0)), "b"),
        (layer.join("size"), "-1"),
        (layer.join("diff"), "sha256:../../../etc"),
        (layer.join("cache-id"), "../../etc"),
        (layer.join("longshore-blob"), ""),
        (paths.repositories(), "["),
    ] {
        let before = fs::read(&path).unwrap();
        root.store.disk().replace(&paths.staging(), &path, content.as_bytes(), 0o600).unwrap();
        let store = root.reopen();
        let results = [
            store.image(&sample.id()).err(),
            store.read_blob(&sample.blob(0), 10).err(),
            store.layer(&sample.chain()[0]).err(),
            store.references().err(),
            store.manifests_of(&sample.id()).err(),
        ];
        let errors: Vec<_> = results.into_iter().flatten().collect();
        let [StoreError::Damaged { path: named, .. }] = &errors[..] else {
            panic!("{}: {errors:?}", path.display())
        };
        assert_eq!(*named, path);
        store.disk().replace(&paths.staging(), &path, &before, 0o600).unwrap();
    }
    // The list of manifests follows from the manifests.
    let listed = root.store.manifests_of(&sample.id()).unwrap();
    for content in ["{", "", "[]"] {
        root.store
            .disk()
            .replace(&paths.staging(), &paths.content_index(), content.as_bytes(), 0o600)
            .unwrap();
        assert_eq!(root.reopen().manifests_of(&sample.id()).unwrap(), listed);
    }
    fs::remove_file(paths.content_index()).unwrap();
    assert_sound(&root.reopen());
}

#[test]
fn folders_that_are_swept_are_no_links_to_others() {
    for name in ["leases", "staging", "trash", "ingest", "mounts", "uploads", "reserve"] {
        let root = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("precious"), "x").unwrap();
        fs::create_dir(root.path().join("longshore")).unwrap();
        let link = root.path().join("longshore").join(name);
        std::os::unix::fs::symlink(other.path(), link).unwrap();
        let root = root.path().to_owned();
        let options = StoreOptions { root, driver: Some(DriverKind::Packed), keep_blobs: true };
        let said = Store::open(options).unwrap_err().to_string();
        assert!(said.contains("symbolic link"), "{said}");
        assert!(other.path().join("precious").exists(), "{name}");
    }
}

#[test]
fn notes_of_images_are_as_dockerd_writes_them() {
    let root = Root::packed();
    let store = &root.store;
    let (parent, child) = (Sample::new("a:1", &["a"]), Sample::new("b:1", &["a", "bb"]));
    assert!(matches!(store.set_parent(&child.id(), &parent.id()), Err(StoreError::NoImage(_))));
    parent.pull(store).unwrap();
    child.pull(store).unwrap();
    assert_eq!(store.parent(&child.id()).unwrap(), None);
    store.set_parent(&child.id(), &parent.id()).unwrap();
    assert_eq!(store.parent(&child.id()).unwrap(), Some(parent.id()));
    assert_eq!(store.children(&parent.id()).unwrap(), [child.id()]);

    assert_eq!(store.last_updated(&child.id()).unwrap(), None);
    let time = "2026-11-21T18:56:45.080789000Z".parse().unwrap();
    store.set_last_updated(&child.id(), time).unwrap();
    assert_eq!(store.last_updated(&child.id()).unwrap(), Some(time));
    let path = store.paths().image_metadata(&child.id()).join("lastUpdated");
    assert_eq!(fs::read_to_string(path).unwrap(), "2026-11-21T18:56:45.080789Z");
}

#[test]
fn a_reference_needs_its_image() {
    let root = Root::packed();
    let sample = Sample::new("app:1", &["a"]);
    let name = Reference::parse_familiar("other:1").unwrap();
    let point =
        |store: &Store| store.update_references(|references| references.set(&name, &sample.id()));
    assert!(matches!(point(&root.store), Err(StoreError::NoImage(_))));
    assert_eq!(root.store.references().unwrap().get(&name), None);
    sample.pull(&root.store).unwrap();
    point(&root.store).unwrap();
    assert_eq!(root.store.references().unwrap().get(&name), Some(sample.id()));
}

#[test]
fn the_same_blob_twice_is_one() {
    let root = Root::packed();
    let sample = Sample::new("app:1", &["a"]);
    let lease = root.store.lease().unwrap();
    let mut commit = sample.prepare(&root.store, &lease).unwrap();
    commit.blobs.extend(commit.blobs.clone());
    root.store.commit(&lease, commit).unwrap();
    drop(lease);
    assert_sound(&root.store);
}
