//! Tars that try to get out. [`Fixture::apply`] panics if one does.

use archive::ArchiveError;

use crate::builder::{Entry, Tar, directory, file, hard_link, symlink, tar};
use crate::fixture::{Fixture, is_root};

#[test]
fn names_that_lead_outside_stay_inside() {
    let names = [
        "..",
        "../",
        "../x",
        "/../x",
        "a/../../x",
        "a/../../outside/secret",
        "../outside/secret",
        "./../outside/x",
        "//../x",
        "../root/x",
    ];
    for name in names {
        for kind in *b"0123456" {
            let entry = Entry::new(name.as_bytes(), kind).link(b"x");
            // A hard link to itself or to nothing, and devices for those who may not make them, are refused.
            let _ = Fixture::new().apply(&tar([file("x", ""), entry]));
        }
        let long = Tar::new().long(name.as_bytes(), file("x", "long")).finish();
        let pax = tar([file("x", "pax").pax("path", name)]);
        for archive in [long, pax] {
            let fixture = Fixture::new();
            let inside = name.trim_start_matches("a/").trim_start_matches(['.', '/']);
            fixture.apply(&archive).unwrap();
            assert!(fixture.exists(if inside.is_empty() { "." } else { inside }), "{name}");
        }
    }
}

/// dockerd unpacks in a chroot, where the root is its own parent, and finds the content again only if no name climbs.
#[test]
fn entries_by_names_that_climb_are_where_a_chroot_puts_them() {
    let entries = [
        file("x", "old content"),
        file("../x", "new"),
        file("/../../d/y", "in a directory"),
        directory("../d").mode(0o700),
        hard_link("h", "../../x"),
        symlink("l", "d"),
        file("../l/z", "by a link"),
        file("d/../../../z", "at the root"),
    ];
    let fixture = Fixture::new();
    let layer = fixture.apply_all_ways(&tar(entries)).unwrap();
    assert_eq!((fixture.read("x"), fixture.read("h")), ("new".into(), "new".into()));
    assert_eq!((fixture.read("d/y"), fixture.mode("d")), ("in a directory".into(), 0o700));
    assert_eq!(
        (fixture.read("d/z"), fixture.read("z")),
        ("by a link".into(), "at the root".into())
    );
    let climbs = |name: &String| name.contains("..");
    assert!(!layer.names().iter().any(climbs), "{:?}", layer.names());

    for (name, twice) in [("../x", "../x"), ("/../x", "/x"), ("x/../../y", "../y")] {
        let result = Fixture::new().apply_all_ways(&tar([file(name, ""), file(twice, "")]));
        assert!(matches!(result, Err(ArchiveError::Duplicate { .. })), "{name}");
    }
}

#[test]
fn hard_links_to_the_outside_are_refused() {
    for target in ["../outside/secret", "/../outside/secret", "a/../../outside/secret", "..", "/"] {
        let result = Fixture::new().apply_all_ways(&tar([hard_link("x", target)]));
        let refused =
            matches!(result, Err(ArchiveError::Io { .. } | ArchiveError::Breakout { .. }));
        assert!(refused, "{target}");
    }
}

/// Entries that use a way out.
type Attempt<'a> = &'a dyn Fn(&str) -> Vec<Entry>;

/// All ways to reach `outside` by a symlink.
fn ways_out(fixture: &Fixture) -> Vec<String> {
    let absolute = fixture.outside().to_str().unwrap().to_owned();
    let up = "../".repeat(60);
    let mut ways = vec![
        "../outside".to_owned(),
        "../../outside".to_owned(),
        format!("{up}{absolute}"),
        format!("./../root/../outside"),
        format!("/proc/self/root{absolute}"),
        "/proc/self/cwd".to_owned(),
    ];
    ways.push(absolute);
    ways
}

#[test]
fn symlinks_to_the_outside_resolve_inside() {
    let count = ways_out(&Fixture::new()).len();
    for index in 0..count {
        let attempts: &[Attempt] = &[
            &|way| vec![symlink("l", way), file("l/secret", "overwritten")],
            &|way| vec![symlink("l", way), file("l/new", "created")],
            &|way| vec![symlink("l", way), directory("l/").mode(0o777)],
            &|way| vec![symlink("l", way), directory("l/sub/").mode(0o777)],
            &|way| vec![symlink("l", way), symlink("l/sub", "x")],
            &|way| vec![symlink("l", way), file("l/.wh.secret", "")],
            &|way| vec![symlink("l", way), file("l/.wh..wh..opq", "")],
            &|way| vec![symlink("l", way), hard_link("x", "l/secret").mode(0o777)],
            &|way| vec![symlink("l", way), hard_link("l/x", "l/secret")],
            &|way| vec![file("f", "x"), symlink("l", way), hard_link("l/x", "f")],
            &|way| vec![symlink("l", way), Entry::new(b"l/pipe", b'6')],
            &|way| vec![symlink("l", way), symlink("m", "l/sub"), file("m/secret", "overwritten")],
            &|way| vec![symlink("l", &format!("{way}/secret")), file("l", "overwritten")],
            &|way| vec![symlink("l", &format!("{way}/secret")), hard_link("m", "l").mode(0o777)],
            &|way| {
                let attribute = "SCHILY.xattr.user.mark";
                vec![symlink("l", &format!("{way}/secret")).pax(attribute, "x")]
            },
            &|way| {
                vec![directory("d"), file("d/x", ""), symlink("d/../d", way), file("d/secret", "")]
            },
            &|way| {
                vec![directory("d/e"), symlink("a", "d"), symlink("a/e", way), file("d/e/new", "x")]
            },
        ];
        for (number, attempt) in attempts.iter().enumerate() {
            let fixture = Fixture::new();
            let way = &ways_out(&fixture)[index];
            let tar = tar(attempt(way));
            // Whether it works out does not matter; that nothing outside changes does.
            let result = fixture.apply(&tar);
            if let Ok(layer) = result {
                assert_eq!(layer.applied.size, fixture.walked_size(), "{way} attempt {number}");
            }
        }
    }
}

#[test]
fn a_symlink_at_the_name_is_replaced_not_followed() {
    let fixture = Fixture::new();
    let target = fixture.outside().join("secret");
    // Left over from another layer, so that even the first entry meets it.
    std::os::unix::fs::symlink(&target, fixture.path("f")).unwrap();
    std::os::unix::fs::symlink(fixture.outside(), fixture.path("d")).unwrap();
    fixture.apply(&tar([file("f", "mine"), directory("d"), file("d/x", "mine")])).unwrap();
    assert_eq!((fixture.read("f"), fixture.read("d/x")), ("mine".into(), "mine".into()));
    assert!(!fixture.stat("f").is_symlink() && !fixture.stat("d").is_symlink());
}

#[test]
fn removal_does_not_follow_symlinks() {
    let fixture = Fixture::new();
    let outside = fixture.outside();
    let outside = outside.to_str().unwrap();
    let entries = [
        directory("d/x"),
        symlink("d/x/out", "../../../outside"),
        symlink("d/x/sub", "../../../outside/sub"),
        symlink("a", "d"),
        file("a/x", "in its place"),
    ];
    fixture.apply(&tar(entries)).unwrap();
    assert_eq!(fixture.read("d/x"), "in its place");
    assert!(std::path::Path::new(outside).join("sub/secret").exists());
}

#[test]
fn links_to_whiteouts_and_devices_stay_inside() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    let entries = [file(".wh.gone", ""), hard_link("again", "gone"), file("gone/x", "")];
    assert!(matches!(fixture.apply(&tar(entries)), Err(ArchiveError::Io { .. })));
}

#[test]
fn names_of_every_length_and_byte() {
    for length in [1, 99, 100, 101, 255, 256, 1000, 4096] {
        let name = vec![b'n'; length];
        let result = Fixture::new().apply(&Tar::new().long(&name, file("x", "")).finish());
        assert_eq!(result.is_ok(), length <= 255, "{length}");
    }
    for byte in 1..=255_u8 {
        let name = [b'a', byte, b'b'];
        let result = Fixture::new().apply(&tar([Entry::new(&name, b'0')]));
        assert!(result.is_ok(), "{byte:#x}");
    }
}
