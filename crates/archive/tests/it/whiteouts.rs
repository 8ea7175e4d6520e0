//! Files that a layer removes from those below.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use archive::{ApplyOptions, ArchiveError, Whiteouts};

use crate::builder::{directory, file, symlink, tar};
use crate::fixture::{Fixture, is_root, options};

#[test]
fn whiteouts_become_overlay_s() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    let layer = fixture
        .apply(&tar([
            file("d/.wh.gone", "").owner(0, 0),
            file("d/.wh.owned", "").owner(3, 4),
            file(".wh.top", ""),
            directory("d/.wh.directory"),
            file("d/.wh.with content", "whatever"),
            symlink("l", "d"),
            file("l/.wh.through", ""),
        ]))
        .unwrap();
    let names = ["d/gone", "d/owned", "top", "d/directory", "d/with content", "d/through"];
    for name in names {
        let stat = fixture.stat(name);
        assert!(stat.file_type().is_char_device(), "{name}");
        assert_eq!(stat.rdev(), 0, "{name}");
    }
    assert_eq!((fixture.stat("d/owned").uid(), fixture.stat("d/owned").gid()), (3, 4));
    assert_eq!(layer.applied.size, 1, "the symlink's");
    let mut rebuilt = Vec::new();
    let diff_id = archive::rebuild(&layer.tar_split[..], &fixture.root(), &mut rebuilt).unwrap();
    assert_eq!(diff_id, layer.applied.diff_id, "a whiteout's content is in the tar-split");
}

/// A directory with the set-group-ID bit gives its group to what is made in it.
#[test]
fn a_whiteout_has_its_own_group() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    let local = directory("local").owner(0, 50).mode(0o2775);
    fixture.apply(&tar([local, file("local/.wh.x", "").owner(0, 0)])).unwrap();
    assert_eq!(fixture.stat("local/x").gid(), 0);
}

#[test]
fn opaque_directories_get_the_attribute() {
    let fixture = Fixture::new();
    let entries = [
        directory("d"),
        file("d/before", "x"),
        file("d/.wh..wh..opq", ""),
        file("implied/.wh..wh..opq", ""),
    ];
    if let Err(error) = fixture.apply(&tar(entries)) {
        assert!(!is_root(), "{error}");
        return;
    }
    let attribute = if is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    for name in ["d", "implied"] {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(fixture.path(name), attribute, &mut value).unwrap();
        assert_eq!(&value[..length], b"y", "{name}");
    }
    assert_eq!(fixture.read("d/before"), "x");
    assert!(!fixture.exists("d/.wh..wh..opq"));
}

#[test]
fn the_root_can_be_opaque() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    fixture.apply(&tar([file(".wh..wh..opq", "")])).unwrap();
    let mut value = [0; 8];
    let length = rustix::fs::getxattr(fixture.root(), "trusted.overlay.opaque", &mut value);
    assert_eq!(length, Ok(1));
}

#[test]
fn refuses_whiteouts_of_nothing_and_of_its_own() {
    let cases = [
        tar([file(".wh.", "")]),
        tar([file(".wh..", "")]),
        tar([file(".wh...", "")]),
        tar([file("d/.wh...", "")]),
        tar([file("d/f", "x"), file("d/.wh.f", "")]),
        tar([directory("d/e"), file("d/.wh.e", "")]),
    ];
    for tar in cases {
        let result = Fixture::new().apply(&tar);
        assert!(matches!(result, Err(ArchiveError::Whiteout { .. })));
    }
}

#[test]
fn a_file_may_follow_its_whiteout() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    fixture.apply(&tar([file(".wh.f", ""), file("f", "new")])).unwrap();
    assert_eq!(fixture.read("f"), "new");
}

#[test]
fn whiteouts_can_be_refused() {
    let options = ApplyOptions { whiteouts: Whiteouts::Refuse, ..options() };
    for name in ["d/.wh.f", ".wh..wh..opq"] {
        let result = Fixture::new().apply_with(&tar([file(name, "")]), &options);
        assert!(matches!(result, Err(ArchiveError::Whiteout { .. })), "{name}");
    }
}

/// Unpacks layers into one directory, the lowest first.
fn flatten(layers: Vec<Vec<crate::builder::Entry>>) -> Fixture {
    let fixture = Fixture::new();
    for layer in layers {
        fixture.extract(&tar(layer)).unwrap();
    }
    fixture
}

#[test]
fn layers_in_one_directory_remove_what_they_hide() {
    let fixture = flatten(vec![
        vec![
            directory("d"),
            file("d/gone", "x"),
            directory("d/tree"),
            file("d/tree/file", "x"),
            file("d/kept", "kept"),
            symlink("l", "d"),
            file("opaque/old", "x"),
            file("opaque/sub/old", "x"),
            file("opaque/sub/replaced", "old"),
            file("file", "x"),
        ],
        vec![
            file("d/.wh.gone", ""),
            file("d/.wh.tree", ""),
            file("d/.wh.never there", ""),
            file("d/.wh..wh.plnk", ""),
            // Before and after the mark.
            file("opaque/sub/replaced", "new"),
            file("opaque/.wh..wh..opq", ""),
            file("opaque/new", "new"),
            // A directory in place of a file.
            directory("file"),
            file("file/below", "y"),
        ],
    ]);
    for gone in
        ["d/gone", "d/tree", "d/.wh.gone", "opaque/old", "opaque/sub/old", "opaque/.wh..wh..opq"]
    {
        assert!(!fixture.exists(gone), "{gone}");
    }
    for (path, content) in [
        ("d/kept", "kept"),
        ("opaque/sub/replaced", "new"),
        ("opaque/new", "new"),
        ("file/below", "y"),
    ] {
        assert_eq!(fixture.read(path), content, "{path}");
    }
    fixture.assert_confined();
}

#[test]
fn a_whiteout_removes_nothing_outside() {
    let fixture = Fixture::new();
    let outside = fixture.outside();
    let entries =
        [symlink("out", outside.to_str().unwrap()), symlink("up", "../outside"), directory("d")];
    fixture.extract(&tar(entries)).unwrap();
    for name in [
        "out/.wh.secret",
        "up/.wh.secret",
        "out/.wh..wh..opq",
        "up/.wh..wh..opq",
        "d/.wh..",
        "d/.wh.",
        "d/.wh...",
    ] {
        // What leads outside ends at the root, where there is nothing of that name.
        let _ = fixture.extract(&tar([file(name, "")]));
        assert!(fixture.exists("d"), "{name}");
    }
}
