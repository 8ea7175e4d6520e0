//! Entries in the place of others.

use std::os::unix::fs::MetadataExt;

use archive::ArchiveError;

use crate::builder::{Entry, directory, file, hard_link, symlink, tar};
use crate::fixture::Fixture;

/// Unpacks `entries` after a directory `d` and a symlink `l` to it: two names for whatever is in it.
fn apply(entries: impl IntoIterator<Item = Entry>) -> (Fixture, u64) {
    let fixture = Fixture::new();
    let both = [directory("d"), symlink("l", "d")].into_iter().chain(entries);
    let layer = fixture.apply(&tar(both)).unwrap();
    assert_eq!(layer.applied.size, fixture.walked_size(), "the size is that of what is there");
    (fixture, layer.applied.size)
}

#[test]
fn anything_replaces_anything() {
    let olds = || {
        [
            vec![file("d/x", "old content")],
            vec![symlink("d/x", "../somewhere/else")],
            vec![
                directory("d/x").mode(0o500),
                file("d/x/y", "old content"),
                symlink("d/x/z", "y"),
                directory("d/x/sub/sub"),
            ],
            vec![file("d/other", "shared"), hard_link("d/x", "d/other")],
            vec![Entry::new(b"d/x", b'6')],
        ]
    };
    let news =
        || [file("l/x", "new"), symlink("l/x", "new"), directory("l/x"), Entry::new(b"l/x", b'6')];
    for old in olds() {
        for new in news() {
            let (fixture, _) = apply(old.clone().into_iter().chain([new.clone()]));
            let stat = fixture.stat("d/x");
            let expected = new.block[156];
            assert_eq!(stat.is_file(), expected == b'0');
            assert_eq!(stat.is_symlink(), expected == b'2');
            assert_eq!(stat.is_dir(), expected == b'5');
            if stat.is_file() {
                assert_eq!(fixture.read("d/x"), "new");
            }
        }
    }
}

#[test]
fn a_directory_is_merged_with_one() {
    let (fixture, _) = apply([
        directory("d/x").mode(0o700).modified(5),
        file("d/x/kept", "kept"),
        directory("l/x").mode(0o1750).modified(6),
    ]);
    assert_eq!(fixture.read("d/x/kept"), "kept");
    assert_eq!((fixture.mode("d/x"), fixture.stat("d/x").mtime()), (0o1750, 6));
}

#[test]
fn an_open_directory_that_is_replaced_is_not_written_to() {
    // `d/x` is open from the file before; then the name means `e`.
    let (fixture, _) = apply([
        directory("e"),
        file("d/x/before", "before"),
        symlink("l/x", "../e"),
        file("d/x/after", "after"),
        file("d/x/sub/after", "after"),
    ]);
    assert_eq!(fixture.read("e/after"), "after");
    assert_eq!(fixture.read("e/sub/after"), "after");
    assert!(fixture.stat("d/x").is_symlink());
}

#[test]
fn a_symlink_that_is_replaced_is_not_followed() {
    let (fixture, _) = apply([
        directory("e"),
        symlink("d/x", "../e"),
        file("d/x/first", "in e"),
        directory("l/x"),
        file("d/x/second", "in d/x"),
    ]);
    assert_eq!(fixture.read("e/first"), "in e");
    assert_eq!(fixture.read("d/x/second"), "in d/x");
    assert!(!fixture.exists("e/second"));
}

#[test]
fn replacing_one_name_of_a_hard_link_leaves_the_other() {
    let (fixture, size) =
        apply([file("d/a", "shared"), hard_link("d/b", "d/a"), file("l/a", "new")]);
    assert_eq!((fixture.read("d/a"), fixture.read("d/b")), ("new".into(), "shared".into()));
    assert_eq!(size, 1 + 3 + 6);
}

#[test]
fn a_hard_link_sets_what_it_says() {
    let fixture = Fixture::new();
    let entries = [file("a", "x").mode(0o644), hard_link("b", "a").mode(0o600).modified(9)];
    fixture.apply(&tar(entries)).unwrap();
    assert_eq!((fixture.mode("a"), fixture.stat("a").mtime()), (0o600, 9));
}

#[test]
fn hard_links_to_nothing() {
    for target in ["missing", "missing/a", "self", ""] {
        let fixture = Fixture::new();
        let result = fixture.apply(&tar([hard_link("self", target)]));
        let expected =
            matches!(result, Err(ArchiveError::Io { .. } | ArchiveError::Breakout { .. }));
        assert!(expected, "{target}");
        assert!(!fixture.exists("self"), "{target}");
    }
}

#[test]
fn trees_of_any_depth_are_replaced() {
    let fixture = Fixture::new();
    let deep = format!("d/x/{}f", "n/".repeat(200));
    let entries =
        [directory("d"), symlink("l", "d"), file("short", "x").pax("path", deep), file("l/x", "y")];
    // The tree held the file that the size counted.
    assert_eq!(fixture.apply(&tar(entries)).unwrap().applied.size, 2);
    assert_eq!(fixture.read("d/x"), "y");
}

#[test]
fn small_files_are_there_before_whoever_meets_them() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..500).map(|number| format!("d/{number}")).collect();
    let mut entries = vec![directory("d")];
    entries.extend(names.iter().map(|name| file(name, name)));
    // By another name for a path of before, by a link, by what is under it, and by a removal of all.
    entries.push(file("/d/7", "replaced"));
    entries.extend(names.iter().map(|name| hard_link(&format!("{name}-link"), name)));
    let layer = fixture.apply(&tar(entries.clone())).unwrap();
    assert_eq!(layer.applied.size, fixture.walked_size());
    assert_eq!(fixture.read("d/499-link"), "d/499");
    assert_eq!(
        (fixture.read("d/7"), fixture.read("d/7-link")),
        ("replaced".into(), "replaced".into())
    );

    let beneath = Fixture::new();
    entries.push(file("d/8/x", "beneath a file"));
    assert!(beneath.apply(&tar(entries.clone())).is_err());

    let removed = Fixture::new();
    entries.pop();
    entries.push(symlink("/d", "elsewhere"));
    let layer = removed.apply(&tar(entries)).unwrap();
    assert!(removed.stat("d").is_symlink());
    assert_eq!(layer.applied.size, removed.walked_size());
}
