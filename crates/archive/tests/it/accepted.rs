//! Tars that are accepted are whole afterwards: unpacked, found to be whole, and rebuilt to the byte. Looking without unpacking says the
//! same.

use archive::ArchiveError;

use crate::builder::{Entry, directory, file, hard_link, symlink, tar};
use crate::fixture::{Fixture, is_root};

/// A tar that is accepted, and the files that are there in the end.
type Case = (&'static str, Vec<Entry>, &'static [(&'static str, &'static str)]);

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let links = || [directory("usr/"), directory("usr/lib/"), symlink("lib", "usr/lib")];
    let with_links = |entries: &[Entry]| [&links()[..], entries].concat();
    vec![
        (
            "a file by two paths",
            with_links(&[file("usr/lib/a", "one"), file("lib/a", "two!")]),
            &[("usr/lib/a", "two!")],
        ),
        (
            "and by an absolute link",
            vec![
                file("usr/lib/a", "one"),
                symlink("lib", "/usr/lib"),
                file("lib/a", "two!"),
                file("lib/b", "b"),
            ],
            &[("usr/lib/a", "two!"), ("usr/lib/b", "b")],
        ),
        (
            "the other way round, three times",
            with_links(&[
                file("lib/a", "one"),
                file("usr/lib/a", "two!"),
                symlink("l", "lib"),
                file("l/a", "three"),
            ]),
            &[("usr/lib/a", "three")],
        ),
        (
            "a name that dockerd takes for another",
            vec![file("/a", "one"), file("a", "two!")],
            &[("a", "two!")],
        ),
        (
            "content, then none, then content",
            with_links(&[file("usr/lib/a", "one"), file("lib/a", ""), file("/lib/a", "three")]),
            &[("usr/lib/a", "three")],
        ),
        (
            "none, then content by a link",
            with_links(&[file("usr/lib/a", ""), file("lib/a", "two!")]),
            &[("usr/lib/a", "two!")],
        ),
        (
            "a directory that becomes a symlink",
            vec![file("a/x", "content"), symlink("a", "b")],
            &[],
        ),
        (
            "with an entry, by another name",
            vec![
                directory("a/"),
                file("a/x", "content"),
                file("a/deep/er/y", "more"),
                symlink("/a", "b"),
                file("b/x", "new"),
            ],
            &[("b/x", "new"), ("a/x", "new")],
        ),
        (
            "a directory that becomes a file and a directory again",
            vec![file("a/x", "one"), file("a", "two!"), directory("/a"), file("/a/x", "three")],
            &[("a/x", "three")],
        ),
        (
            "a hard link to what is replaced",
            with_links(&[
                file("usr/lib/a", "one"),
                hard_link("b", "lib/a"),
                file("lib/a", "two!"),
                hard_link("usr/lib/c", "b"),
                file("lib/c", "c"),
            ]),
            &[("b", "one"), ("usr/lib/a", "two!"), ("usr/lib/c", "c")],
        ),
        (
            "a hard link in the place of content, and content in its place",
            with_links(&[
                file("x", "x"),
                file("usr/lib/a", "one"),
                hard_link("lib/a", "x"),
                file("/usr/lib/a", "three"),
            ]),
            &[("x", "x"), ("usr/lib/a", "three")],
        ),
        (
            "a link to what comes later",
            vec![symlink("lib", "usr/lib"), file("lib/x", "1"), symlink("m", "lib/../up")],
            &[("usr/lib/x", "1")],
        ),
        (
            "through a link to what comes later, and up",
            vec![symlink("m", "a/b/../c"), file("m/d/x", "1")],
            &[("a/c/d/x", "1")],
        ),
        (
            "a long file that is replaced",
            with_links(&[file("usr/lib/a", vec![7; 3 << 20]), file("lib/a", "short")]),
            &[("usr/lib/a", "short")],
        ),
        (
            "times of a directory that is gone, and to whose place a link leads",
            vec![
                directory("a").modified(6),
                directory("b/a").modified(5),
                directory("c/a").mode(0o700).modified(7),
                symlink("/b", "."),
                symlink("/c", "b"),
            ],
            &[],
        ),
        (
            "names that are numbers of bytes long",
            vec![file(&"n".repeat(90), "x").pax("path", "n".repeat(255))],
            &[],
        ),
    ]
}

#[test]
fn what_is_accepted_is_whole() {
    for (what, entries, expected) in cases() {
        println!("{what}");
        let fixture = Fixture::new();
        fixture.apply_all_ways(&tar(entries)).unwrap();
        for (path, content) in expected {
            assert_eq!(fixture.read(path), *content, "{what}: {path}");
        }
    }
}

#[test]
fn content_that_is_replaced_is_kept_once() {
    let fixture = Fixture::new();
    let entries = [directory("d"), symlink("l", "d"), file("d/a", "one"), file("l/a", "two!")];
    let layer = fixture.apply_all_ways(&tar(entries)).unwrap();
    assert_eq!(layer.names(), ["d/a"], "by its path without symlinks, and nothing else");
    let fixture = Fixture::new();
    let layer = fixture.apply_all_ways(&tar([directory("d/"), file("./d/a", "one")])).unwrap();
    assert_eq!(layer.names(), ["d/", "./d/a"], "as dockerd writes it where nothing is unusual");
}

#[test]
fn whiteouts_are_looked_at_as_they_are_made() {
    if !is_root() {
        return;
    }
    let accepted: [&[Entry]; 7] = [
        &[file(".wh.d", ""), directory("d/"), file("d/new", "x")],
        &[file("d/x/.wh..wh..opq", "")],
        &[symlink("l", "d"), directory("d"), file("l/.wh.x", ""), file("l/.wh..wh..opq", "")],
        &[file(".wh..wh.plnk", ""), file(".wh..wh.aufs/x", "y")],
        &[file(".wh.a", ""), hard_link("b", "a")],
        &[file(&[".wh.", &"n".repeat(90)].concat(), "")
            .pax("path", ".wh.".to_owned() + &"n".repeat(255))],
        &[file(".wh..wh..opq", ""), file(".wh.x", "content")],
    ];
    for (number, entries) in accepted.into_iter().enumerate() {
        println!("{number}");
        Fixture::new().apply_all_ways(&tar(entries.to_vec())).unwrap();
    }
}

/// A tar that is refused, and by which words.
type Refused = (&'static str, Vec<Entry>, &'static str);

#[test]
fn what_is_refused_is_refused_without_unpacking() {
    let loops = [symlink("l", "m"), symlink("m", "l"), file("l/x", "1")];
    let deep = "d/".repeat(1500);
    let nested = [
        directory("x").pax("path", &deep),
        symlink("l", "x").pax("linkpath", &deep),
        directory("y").pax("path", format!("l/{deep}")),
    ];
    let table: Vec<Refused> = vec![
        ("a file twice", vec![file("a", "1"), file("a", "2")], "`a` occurs twice"),
        ("by another spelling", vec![file("a", "1"), file("./a", "2")], "occurs twice"),
        ("a directory twice", vec![directory("a/"), directory("a")], "occurs twice"),
        ("a file as a parent", vec![file("a", "1"), file("a/b", "2")], "Not a directory"),
        ("a loop", loops.to_vec(), "Too many levels of symbolic links"),
        ("a link to nothing", vec![hard_link("a", "b")], "failed to link `a`: No such"),
        ("a link to itself", vec![hard_link("a", "a")], "failed to link `a`: No such"),
        (
            "a link to what it replaces",
            vec![file("d/x", "1"), hard_link("/d", "d/x")],
            "failed to link `d`: No such",
        ),
        (
            "a link to a directory",
            vec![directory("d"), hard_link("e", "d")],
            "failed to link `e`: Operation not permitted",
        ),
        ("a symlink to nothing", vec![symlink("a", "")], "failed to create `a`: No such"),
        ("a whiteout of its own", vec![file("a", "1"), file(".wh.a", "")], "hides"),
        ("a whiteout of nothing", vec![file("d/.wh..", "")], "it names nothing"),
        ("a long name", vec![file("n", "").pax("path", "n".repeat(256))], "File name too long"),
        (
            "a long name of a parent",
            vec![file("n", "").pax("path", "n".repeat(256) + "/a")],
            "too long",
        ),
        ("deeper than a path can be", nested.to_vec(), "File name too long"),
        ("a type that nobody knows", vec![Entry::new(b"a", b'9')], "unsupported type `9`"),
    ];
    for (what, entries, expected) in table {
        println!("{what}");
        let error = Fixture::new().apply_all_ways(&tar(entries)).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {}", source.unwrap_or_default());
        assert!(text.contains(expected), "{what}: {text}");
    }
    let wide = b"\x80\0\0\x01\0\0\0\0";
    let device = Entry::new(b"null", b'3').bytes(329, wide);
    let result = Fixture::new().apply_all_ways(&tar([device]));
    assert!(!is_root() || matches!(result, Err(ArchiveError::Device { .. })));
}
