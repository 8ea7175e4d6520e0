//! Layers on each other in one directory, as overlayfs shows them.

use std::os::unix::fs::MetadataExt;

use archive::{ApplyOptions, Whiteouts};

use crate::builder::{Entry, directory, file, hard_link, symlink, tar};
use crate::fixture::{Fixture, is_root, options};

/// The thing under a path in the end.
#[derive(Debug, PartialEq, Eq)]
enum Is {
    File(&'static str),
    Directory(u32),
    Link(&'static str),
    Nothing,
}

use Is::{Directory, File, Link, Nothing};

/// Layers, the lowest first, and what comes of them.
type Case = (&'static str, Vec<Vec<Entry>>, &'static [(&'static str, Is)]);

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        (
            "a path through what is a symlink below",
            vec![
                vec![directory("usr/"), file("usr/lib/old", "o"), symlink("lib", "usr/lib")],
                vec![file("lib/new", "n")],
            ],
            &[
                ("lib", Directory(0o755)),
                ("lib/new", File("n")),
                ("lib/old", Nothing),
                ("usr/lib/old", File("o")),
                ("usr/lib/new", Nothing),
            ],
        ),
        (
            "a directory removed and made anew",
            vec![
                vec![directory("d/"), file("d/old", "o")],
                vec![file(".wh.d", ""), directory("d/").mode(0o700), file("d/new", "n")],
            ],
            &[("d", Directory(0o700)), ("d/old", File("o")), ("d/new", File("n"))],
        ),
        (
            "an opaque root",
            vec![vec![file("d/old", "o")], vec![file(".wh..wh..opq", ""), file("only", "n")]],
            &[("d/old", File("o")), ("only", File("n")), (".wh..wh..opq", Nothing)],
        ),
        (
            "a parent that is left out",
            vec![vec![directory("d/").mode(0o700), file("d/old", "o")], vec![file("d/x", "1")]],
            &[("d", Directory(0o755)), ("d/old", File("o")), ("d/x", File("1"))],
        ),
        (
            "opaque directories, also deep ones",
            vec![
                vec![file("a/old", "o"), file("a/sub/old", "o"), file("b/c/old", "o")],
                vec![
                    file("a/sub/new", "n"),
                    file("a/.wh..wh..opq", ""),
                    file("b/c/.wh..wh..opq", ""),
                    file("new/.wh..wh..opq", ""),
                    file("new/.wh.x", ""),
                ],
            ],
            &[
                ("a/old", Nothing),
                ("a/sub/old", Nothing),
                ("a/sub/new", File("n")),
                ("a/.wh..wh..opq", Nothing),
                ("b/c", Directory(0o755)),
                ("b/c/old", Nothing),
                ("new", Directory(0o755)),
                ("new/x", Nothing),
                ("new/.wh..wh..opq", Nothing),
            ],
        ),
        (
            "an opaque mark in what is removed afterwards",
            vec![
                vec![file("d/x/old", "o")],
                vec![
                    symlink("l", "d"),
                    file("d/x/.wh..wh..opq", ""),
                    symlink("l/x", "y"),
                    directory("/d/x"),
                ],
            ],
            &[("d/x", Directory(0o755)), ("d/x/old", File("o"))],
        ),
        (
            "everything in the place of everything",
            vec![
                vec![
                    file("a", "f"),
                    file("b/x", "d"),
                    symlink("c", "a"),
                    file("d/x/y", "d"),
                    file("e", "f"),
                ],
                vec![
                    file("a/x", "d"),
                    file("b", "f"),
                    directory("c"),
                    symlink("d", "a"),
                    file("e", "g"),
                ],
            ],
            &[
                ("a/x", File("d")),
                ("b", File("f")),
                ("c", Directory(0o755)),
                ("d", Link("a")),
                ("e", File("g")),
            ],
        ),
        (
            "whiteouts, of nothing too, and a file after its whiteout",
            vec![
                vec![file("a", "1"), file("b/c/d", "2"), file("e", "3"), file("f/g", "4")],
                vec![
                    file(".wh.a", ""),
                    file("b/.wh.c", ""),
                    file(".wh.e", ""),
                    file("e", "new"),
                    file("f/.wh.nothing", ""),
                    hard_link("f/g", "a"),
                ],
            ],
            &[
                ("a", Nothing),
                ("b", Directory(0o755)),
                ("b/c", Nothing),
                ("e", File("new")),
                ("f/g", Nothing),
                ("f/nothing", Nothing),
            ],
        ),
        (
            "three layers",
            vec![
                vec![file("a/x", "1"), file("a/y", "1")],
                vec![file(".wh.a", "")],
                vec![file("a/z", "3")],
            ],
            &[("a/x", Nothing), ("a/z", File("3"))],
        ),
        (
            "notes of AUFS",
            vec![
                vec![file("x", "1")],
                vec![
                    file(".wh..wh.plnk", ""),
                    file(".wh..wh.aufs/x", "2"),
                    file(".wh..wh..wh..opq", ""),
                ],
            ],
            &[(".wh.plnk", Nothing), (".wh..wh.aufs/x", File("2")), ("x", File("1"))],
        ),
    ]
}

fn look(fixture: &Fixture, path: &str) -> Is {
    match std::fs::symlink_metadata(fixture.path(path)) {
        Err(_) => Nothing,
        Ok(stat) if stat.is_dir() => Directory(stat.mode() & 0o7777),
        Ok(stat) if stat.is_symlink() => {
            let target = std::fs::read_link(fixture.path(path)).unwrap();
            Link(target.into_os_string().into_string().unwrap().leak())
        }
        Ok(_) => File(fixture.read(path).leak()),
    }
}

#[test]
fn layers_are_merged_as_overlayfs_does() {
    for owners in [true, false] {
        if owners && !is_root() {
            continue;
        }
        for (what, layers, expected) in cases() {
            println!("{what}, owners: {owners}");
            let fixture = Fixture::new();
            let options = ApplyOptions { whiteouts: Whiteouts::Remove, owners, ..options() };
            for layer in layers {
                let tar = tar(layer);
                fixture.extract_with(&tar, &options).unwrap();
            }
            for (path, is) in expected {
                assert_eq!(look(&fixture, path), *is, "{what}: {path}");
            }
            let names = std::fs::read_dir(fixture.root()).unwrap();
            for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
                assert!(!name.starts_with(".longshore"), "{what}: {name}");
            }
        }
    }
}

#[test]
fn a_directory_has_what_the_topmost_layer_says_of_it() {
    let fixture = Fixture::new();
    let attribute = "SCHILY.xattr.user.a";
    fixture
        .extract(&tar([
            directory("d")
                .mode(0o1777)
                .modified(5)
                .pax(attribute, "1")
                .pax("SCHILY.xattr.user.b", "1"),
            directory("e").mode(0o700).modified(6),
            file("e/x", ""),
        ]))
        .unwrap();
    fixture
        .extract(&tar([
            directory("d").mode(0o750).modified(7).pax(attribute, "2"),
            file("d/x", ""),
        ]))
        .unwrap();
    assert_eq!((fixture.mode("d"), fixture.stat("d").mtime()), (0o750, 7));
    assert_eq!((fixture.mode("e"), fixture.stat("e").mtime()), (0o700, 6), "nobody touched it");
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(fixture.path("d"), "user.a", &mut value), Ok(1));
    assert_eq!(value[0], b'2');
    let other = rustix::fs::getxattr(fixture.path("d"), "user.b", &mut value);
    assert_eq!(other, Err(rustix::io::Errno::NODATA));
}

#[test]
fn what_only_a_layer_below_has_is_not_there_to_link_to() {
    let fixture = Fixture::new();
    fixture.extract(&tar([file("a", "x"), file("f", "x")])).unwrap();
    let error = fixture.extract(&tar([hard_link("b", "a")])).unwrap_err();
    assert!(error.to_string().contains("failed to link `b`"), "as for overlayfs: {error}");
    fixture.extract(&tar([file("f/x", "y")])).unwrap();
    assert_eq!(fixture.read("f/x"), "y", "a file below is in nobody's way");
}

#[test]
fn devices_that_are_whiteouts_to_overlayfs_are_whiteouts() {
    for owners in [true, false] {
        if owners && !is_root() {
            continue;
        }
        let fixture = Fixture::new();
        let options = ApplyOptions { whiteouts: Whiteouts::Remove, owners, ..options() };
        for layer in [
            vec![file("a", "x"), file("d/b", "x")],
            vec![Entry::new(b"a", b'3'), Entry::new(b"d/b", b'3'), Entry::new(b"n/c", b'3')],
        ] {
            let tar = tar(layer);
            fixture.extract_with(&tar, &options).unwrap();
        }
        for gone in ["a", "d/b", "n/c"] {
            assert!(!fixture.exists(gone), "{gone}");
        }
    }
}
