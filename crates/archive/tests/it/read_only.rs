//! Layers on one another without root, where a lower one made directories that shut out their owner.
//!
//! Root may go everywhere: for it only the modes in the end are tried here, and the rest by the tests of the command.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use archive::{ApplyOptions, Whiteouts};

use crate::builder::{Entry, directory, file, symlink, tar};

/// Unpacks layers into one directory and lists what is there, with the modes.
fn unpack(layers: &[Vec<Entry>]) -> BTreeMap<String, u32> {
    let folder = tempfile::tempdir().unwrap();
    let root = File::open(folder.path()).unwrap();
    let options =
        ApplyOptions { whiteouts: Whiteouts::Remove, owners: false, ..ApplyOptions::default() };
    for layer in layers {
        archive::extract(&tar(layer.clone())[..], root.as_fd(), None, &options, &|_| {}).unwrap();
    }
    let mut found = BTreeMap::new();
    list(folder.path(), folder.path(), &mut found);
    archive::empty_directory(root.as_fd()).unwrap();
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    found
}

fn list(root: &Path, directory: &Path, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stat = fs::symlink_metadata(&path).unwrap();
        let mode = stat.permissions().mode() & 0o7777;
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        found.insert(name, if stat.is_symlink() { 0 } else { mode });
        if stat.is_dir() {
            // As a user who is not root would have to.
            fs::set_permissions(&path, Permissions::from_mode(mode | 0o700)).unwrap();
            list(root, &path, found);
        }
    }
}

fn lower(mode: u32) -> Vec<Entry> {
    vec![
        directory("usr").mode(mode),
        directory("usr/bin").mode(mode),
        file("usr/bin/old", "old"),
        directory("usr/bin/deep").mode(mode),
        file("usr/bin/deep/file", ""),
        symlink("bin", "usr/bin"),
        symlink("sbin", "bin/deep"),
    ]
}

type Change = fn(u32) -> Vec<Entry>;
type Expected = fn(&mut BTreeMap<String, u32>);

/// Parents that a layer leaves out are its own, as overlayfs shows them.
fn imply(all: &mut BTreeMap<String, u32>, paths: &[&str]) {
    for path in paths {
        all.insert((*path).to_owned(), 0o755);
    }
}

/// A deed of an upper layer, and how it changes what is there; the modes of the lower one are given.
const CHANGES: [(&str, Change, Expected); 8] = [
    (
        "adds",
        |_| vec![file("usr/bin/new", "")],
        |all| {
            imply(all, &["usr", "usr/bin"]);
            all.insert("usr/bin/new".into(), 0o644);
        },
    ),
    (
        "replaces",
        |mode| {
            vec![
                directory("usr").mode(mode),
                directory("usr/bin").mode(mode),
                file("usr/bin/old", "2").mode(0o400),
            ]
        },
        |all| {
            all.insert("usr/bin/old".into(), 0o400);
        },
    ),
    (
        "removes a file",
        |_| vec![file("usr/bin/.wh.old", "")],
        |all| {
            imply(all, &["usr", "usr/bin"]);
            all.remove("usr/bin/old");
        },
    ),
    (
        "removes a directory",
        |_| vec![file("usr/.wh.bin", "")],
        |all| {
            imply(all, &["usr"]);
            all.retain(|name, _| !name.starts_with("usr/bin"));
        },
    ),
    (
        "makes opaque",
        |_| vec![file("usr/bin/.wh..wh..opq", ""), file("usr/bin/n", "")],
        |all| {
            all.retain(|name, _| !name.starts_with("usr/bin/"));
            imply(all, &["usr", "usr/bin"]);
            all.insert("usr/bin/n".into(), 0o644);
        },
    ),
    (
        "opens for good",
        |mode| {
            vec![
                directory("usr").mode(mode),
                file("usr/bin/new", ""),
                directory("usr/bin").mode(0o755),
            ]
        },
        |all| {
            imply(all, &["usr/bin"]);
            all.insert("usr/bin/new".into(), 0o644);
        },
    ),
    (
        "closes more, children first",
        |_| {
            vec![
                directory("usr/bin/deep").mode(0),
                directory("usr/bin").mode(0),
                directory("usr").mode(0),
            ]
        },
        |all| {
            for path in ["usr", "usr/bin", "usr/bin/deep"] {
                all.insert(path.into(), 0);
            }
        },
    ),
    (
        "replaces a directory by a file",
        |_| vec![file("usr/bin/deep", "")],
        |all| {
            imply(all, &["usr", "usr/bin"]);
            all.retain(|name, _| !name.starts_with("usr/bin/deep/"));
            all.insert("usr/bin/deep".into(), 0o644);
        },
    ),
];

/// The entries of the lower layer.
fn closed(mode: u32) -> BTreeMap<String, u32> {
    let entries = [
        ("bin", 0),
        ("sbin", 0),
        ("usr", mode),
        ("usr/bin", mode),
        ("usr/bin/deep", mode),
        ("usr/bin/deep/file", 0o644),
        ("usr/bin/old", 0o644),
    ];
    entries.into_iter().map(|(name, mode)| (name.to_owned(), mode)).collect()
}

#[test]
fn layers_change_directories_that_shut_out_their_owner() {
    for mode in [0o555, 0o500, 0o311, 0o000, 0o1555] {
        for (what, change, expected) in CHANGES {
            let mut all = closed(mode);
            expected(&mut all);
            assert_eq!(unpack(&[lower(mode), change(mode)]), all, "{what} {mode:o}");
        }
    }
}

/// Deeper than descriptors reach at once, and closed at every level.
#[test]
fn directories_are_emptied_however_deep() {
    let depth = 400;
    let path = |depth: usize| "d/".repeat(depth) + "d";
    let mut layer: Vec<Entry> = Vec::new();
    for level in 0..depth {
        let entry = Entry::new(b"d", b'5').mode(0o555).pax("path", path(level));
        layer.push(entry);
    }
    layer.push(file("f", "x").pax("path", path(depth - 1) + "/f"));
    assert_eq!(unpack(&[layer.clone()]).len(), depth + 1);
    assert_eq!(unpack(&[layer, vec![file(".wh.d", "")]]).len(), 0);
}
