//! The files that entries become.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use archive::{ApplyOptions, ArchiveError};

use crate::builder::{Entry, Tar, directory, file, hard_link, symlink, tar};
use crate::fixture::{Fixture, is_root, options, own_ids};

#[test]
fn files_directories_and_links() {
    let fixture = Fixture::new();
    let (uid, gid) = own_ids();
    let layer = fixture
        .apply(&tar([
            directory("./").mode(0o700).modified(1),
            directory("bin/").mode(0o1777).modified(1_500_000_000),
            file("bin/su", "suid").mode(0o4755),
            file("bin/none", "").mode(0),
            symlink("bin/sh", "su").modified(1_400_000_000),
            hard_link("bin/su2", "./bin/su").mode(0o4755),
            hard_link("bin/sh2", "/bin/sh").modified(5),
            file("/absolute", "a"),
            file("im/plied/file", "i").mode(0o666),
        ]))
        .unwrap();
    assert_eq!(fixture.read("bin/su"), "suid");
    assert_eq!(fixture.mode("bin/su"), 0o4755);
    assert_eq!(fixture.mode("bin/none"), 0);
    assert_eq!(fixture.mode("bin"), 0o1777);
    assert_eq!(fixture.mode("im/plied"), 0o755);
    assert_eq!(fixture.mode("im/plied/file"), 0o666, "whatever the umask");
    assert_eq!(fixture.stat("bin").mtime(), 1_500_000_000, "after the files in it");
    assert_eq!(fixture.stat("bin/sh").mtime(), 1_400_000_000, "a link to a symlink sets no times");
    assert_eq!(std::fs::read_link(fixture.path("bin/sh2")).unwrap().to_str(), Some("su"));
    assert_eq!(fixture.stat("bin/su").ino(), fixture.stat("bin/su2").ino());
    assert_eq!((fixture.stat("bin/su").uid(), fixture.stat("bin/su").gid()), (uid, gid));
    assert_ne!(fixture.stat("").mtime(), 1, "the root entry is not applied");
    assert_eq!(layer.applied.size, 4 + 2 + 1 + 1);
    assert_eq!(layer.applied.size, fixture.walked_size());
    assert_eq!(layer.applied.entries, 9);
}

#[test]
fn times_are_bounded_and_exact() {
    let cases = [
        ("1600000000.123456789", (1_600_000_000, 123_456_789)),
        ("0.5", (0, 500_000_000)),
        ("-1.5", (0, 0)),
        ("9223372036.854775807", (9_223_372_036, 854_775_807)),
        ("9223372036.854775808", (0, 0)),
        ("99999999999999999", (0, 0)),
    ];
    for (text, expected) in cases {
        let fixture = Fixture::new();
        let entries = [
            file("f", "").pax("mtime", text),
            directory("d").pax("mtime", text),
            symlink("l", "f").pax("mtime", text),
        ];
        fixture.apply(&tar(entries)).unwrap();
        for name in ["f", "d", "l"] {
            let stat = fixture.stat(name);
            let found = (stat.mtime(), stat.mtime_nsec());
            // Few file systems keep all of the range; those that clamp do so at 2^34 or 2^31.
            let clamps = expected.0 > i64::from(u32::MAX) && found.0 < expected.0;
            assert!(found == expected || clamps, "{name} at {text}: {found:?}");
        }
    }
    let fixture = Fixture::new();
    let entries = [
        file("later", "").pax("atime", "1700000000").pax("mtime", "1600000000"),
        file("earlier", "").pax("atime", "1500000000").pax("mtime", "1600000000"),
    ];
    fixture.apply(&tar(entries)).unwrap();
    assert_eq!(fixture.stat("later").atime(), 1_700_000_000);
    assert_eq!(fixture.stat("earlier").atime(), 1_600_000_000, "never before the change");
}

#[test]
fn parents_through_symlinks_stay_in_the_layer() {
    let fixture = Fixture::new();
    fixture
        .apply(&tar([
            symlink("lib", "/usr/lib"),
            symlink("chain", "lib"),
            symlink("up", "../../../../usr"),
            directory("usr/share"),
            symlink("usr/share/back", "../lib"),
            file("lib/a", "a"),
            file("chain/b", "b"),
            file("up/c", "c"),
            file("usr/share/back/d", "d"),
            file("chain/new/er/e", "e"),
        ]))
        .unwrap();
    let found = ["usr/lib/a", "usr/lib/b", "usr/c", "usr/lib/d", "usr/lib/new/er/e"];
    for (path, content) in found.into_iter().zip(["a", "b", "c", "d", "e"]) {
        assert_eq!(fixture.read(path), content);
    }
    assert!(fixture.stat("lib").is_symlink());
}

#[test]
fn parents_that_cannot_be() {
    let cases = [
        ("a file", tar([file("f", "x"), file("f/g", "y")])),
        ("a link to a file", tar([file("f", "x"), symlink("l", "f"), file("l/g", "y")])),
        ("a loop", tar([symlink("a", "b"), symlink("b", "a"), file("a/x", "y")])),
        ("a link to itself", tar([symlink("a", "a"), file("a/x", "y")])),
        ("a growing loop", tar([symlink("a", "a/b"), file("a/x", "y")])),
    ];
    for (what, tar) in cases {
        let result = Fixture::new().apply(&tar);
        assert!(matches!(result, Err(ArchiveError::Io { .. })), "{what}");
    }
}

#[test]
fn paths_as_deep_as_names_allow() {
    let fixture = Fixture::new();
    let deep = "d/".repeat(2000) + "f";
    let layer =
        fixture.apply(&Tar::new().long(deep.as_bytes(), file("x", "deep")).finish()).unwrap();
    assert_eq!(layer.applied.size, 4);
}

#[test]
fn owners_devices_and_attributes() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let layer = fixture
        .apply(&tar([
            directory("d").owner(5, 6).mode(0o2775),
            file("d/f", "x").owner(7, 8).mode(0o6755),
            file("d/g", "x").owner(0, 0).mode(0o664),
            directory("d/sub").owner(0, 0).mode(0o755),
            symlink("d/l", "f").owner(9, 10),
            file("d/cap", "x")
                .owner(11, 12)
                .mode(0o755)
                .pax("SCHILY.xattr.security.capability", capability),
            file("wide", "").pax("uid", "4000000000").pax("gid", "3000000000"),
            Entry::new(b"null", b'3').device(1, 3).mode(0o666).owner(0, 7),
            Entry::new(b"disk", b'4').device(8, 1).mode(0o660),
            Entry::new(b"pipe", b'6').mode(0o622),
            hard_link("d/cap2", "d/cap")
                .owner(11, 12)
                .mode(0o755)
                .pax("SCHILY.xattr.security.capability", capability),
        ]))
        .unwrap();
    let owner = |path: &str| (fixture.stat(path).uid(), fixture.stat(path).gid());
    assert_eq!(owner("d"), (5, 6));
    assert_eq!((owner("d/f"), fixture.mode("d/f")), ((7, 8), 0o6755));
    assert_eq!(owner("d/g"), (0, 0), "not the group of the setgid directory");
    assert_eq!((owner("d/sub"), fixture.mode("d/sub")), ((0, 0), 0o755), "nor its setgid bit");
    assert_eq!(owner("d/l"), (9, 10));
    assert_eq!(owner("wide"), (4_000_000_000, 3_000_000_000));
    let null = fixture.stat("null");
    assert!(null.file_type().is_char_device());
    assert_eq!((null.rdev(), fixture.mode("null"), owner("null")), (0x103, 0o666, (0, 7)));
    assert!(fixture.stat("disk").file_type().is_block_device());
    assert!(fixture.stat("pipe").file_type().is_fifo());
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(fixture.path("d/cap2"), "security.capability", &mut value);
    assert_eq!(length.map(|length| &value[..length]), Ok(&capability[..]));
    assert_eq!(layer.applied.size, fixture.walked_size());
}

#[test]
fn refuses_impossible_devices() {
    if !is_root() {
        return;
    }
    let wide = b"\x80\0\0\x01\0\0\0\0";
    let result = Fixture::new().apply(&tar([Entry::new(b"null", b'3').bytes(329, wide)]));
    assert!(matches!(result, Err(ArchiveError::Device { major: 0x1_0000_0000, .. })));
}

#[test]
fn without_privileges() {
    let fixture = Fixture::new();
    let options = ApplyOptions { owners: false, ..options() };
    let entries = [
        directory("closed").mode(0o555).modified(77).owner(1234, 1234),
        file("closed/file", "x").mode(0o400).owner(1234, 1234),
        directory("closed/sub").mode(0o500),
        file("closed/sub/file", "y").pax("SCHILY.xattr.trusted.any", "z"),
        Entry::new(b"closed/null", b'3').device(1, 3),
    ];
    fixture.apply_with(&tar(entries), &options).unwrap();
    assert_eq!((fixture.mode("closed"), fixture.mode("closed/sub")), (0o555, 0o500));
    assert_eq!(fixture.stat("closed").mtime(), 77);
    assert_eq!(fixture.mode("closed/file"), 0o400);
    assert_eq!(fixture.stat("closed/file").uid(), own_ids().0);
    assert!(!fixture.exists("closed/null"));
}

#[test]
fn the_umask_and_the_root_s_group_do_not_matter() {
    let fixture = Fixture::new();
    std::fs::set_permissions(fixture.root(), std::os::unix::fs::PermissionsExt::from_mode(0o2777))
        .unwrap();
    let (uid, gid) = own_ids();
    let entries = [directory("d").mode(0o777), file("d/f", "").mode(0o622).owner(uid, gid)];
    fixture.apply(&tar(entries)).unwrap();
    assert_eq!((fixture.mode("d"), fixture.mode("d/f")), (0o777, 0o622));
}
