//! Damages of a layer's directory are found and named.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as make_symlink};
use std::path::Path;

use archive::Damage;

use crate::builder::{Entry, directory, file, hard_link, symlink, tar};
use crate::fixture::{Fixture, Layer, is_root};

/// A layer with one of everything.
fn layer(fixture: &Fixture) -> Layer {
    let mut entries = vec![
        directory("d").mode(0o750),
        file("d/a", "hello"),
        file("d/empty", ""),
        file("implied/deep/b", vec![7; 300 << 10]),
        hard_link("d/same", "d/a").mode(0o600),
        symlink("l", "d"),
        file("l/through", "by a link"),
        file("x", "attributed").pax("SCHILY.xattr.user.key", "value"),
        // A directory that a file takes the place of, and one that comes twice, by two names.
        directory("l/was"),
        file("d/was/gone", "with content"),
        file("d/was", "now a file"),
        directory("/d").mode(0o755),
    ];
    if is_root() {
        entries.push(file("d/.wh.hidden", ""));
        entries.push(file("implied/.wh..wh..opq", ""));
        entries.push(Entry::new(b"null", b'3').device(1, 3));
    }
    fixture.apply(&tar(entries)).unwrap()
}

fn damages(fixture: &Fixture, layer: &Layer) -> Vec<Damage> {
    let verified = archive::verify(&layer.tar_split[..], &fixture.root()).unwrap();
    assert_eq!(verified.size, layer.applied.size);
    assert_eq!(verified.damaged, verified.damages.len() as u64);
    verified.damages
}

#[test]
fn what_was_unpacked_is_whole() {
    let fixture = Fixture::new();
    let layer = layer(&fixture);
    let verified = archive::verify(&layer.tar_split[..], &fixture.root()).unwrap();
    assert_eq!(verified.damages, []);
    assert_eq!(verified.diff_id, layer.applied.diff_id);
}

/// A deed done to a layer, by which name, and the damages that are found.
type Case = (&'static str, fn(&Path), &'static [(&'static str, &'static str)]);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_damage_is_named() {
    let table: [Case; 11] = [
        (
            "truncated",
            |root| {
                fs::File::options()
                    .write(true)
                    .open(root.join("implied/deep/b"))
                    .unwrap()
                    .set_len(9)
                    .unwrap();
            },
            &[
                ("implied/deep/b", "its modification time differs"),
                ("implied/deep/b", "its size is 9 instead of 307200 bytes"),
            ],
        ),
        ("missing", |root| fs::remove_file(root.join("x")).unwrap(), &[("x", "it is gone")]),
        (
            "missing directory",
            |root| fs::remove_dir_all(root.join("implied/deep")).unwrap(),
            &[("implied/deep/b", "it is gone")],
        ),
        (
            "changed content",
            |root| {
                let path = root.join("d/was");
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, "now a FILE").unwrap();
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(modified).unwrap();
            },
            &[("d/was", "its content differs")],
        ),
        (
            "changed mode",
            |root| fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o700)).unwrap(),
            &[("d", "its mode is 0700 instead of 0755")],
        ),
        (
            "changed mode of a hard link",
            |root| {
                let path = root.join("d/same");
                fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).unwrap();
            },
            &[
                ("d/a", "its mode is 4755 instead of 0600"),
                ("d/same", "its mode is 4755 instead of 0600"),
            ],
        ),
        (
            "another kind",
            |root| {
                fs::remove_file(root.join("d/empty")).unwrap();
                fs::create_dir(root.join("d/empty")).unwrap();
            },
            &[
                ("d", "its modification time differs"),
                ("d/empty", "it is a directory instead of a file"),
            ],
        ),
        (
            "another link",
            |root| {
                let modified = fs::symlink_metadata(root.join("l")).unwrap();
                fs::remove_file(root.join("l")).unwrap();
                make_symlink("d/", root.join("l")).unwrap();
                let times = rustix::fs::Timestamps {
                    last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 },
                    last_modification: rustix::fs::Timespec {
                        tv_sec: modified.mtime(),
                        tv_nsec: 0,
                    },
                };
                let no_follow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(rustix::fs::CWD, root.join("l"), &times, no_follow).unwrap();
            },
            &[("l", "it is a link to something else")],
        ),
        (
            "another attribute",
            |root| {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(root.join("x"), "user.key", b"other", flags).unwrap();
            },
            &[("x", "its attribute user.key differs")],
        ),
        (
            "a stranger",
            |root| {
                fs::create_dir(root.join("implied/new")).unwrap();
                fs::write(root.join("implied/new/file"), "").unwrap();
            },
            &[("implied/new", "it does not belong to the layer")],
        ),
        (
            "a FIFO in place of a file",
            |root| {
                fs::remove_file(root.join("d/was")).unwrap();
                let mode = rustix::fs::Mode::from_raw_mode(0o644);
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, root.join("d/was"), kind, mode, 0).unwrap();
            },
            &[("d", "its modification time differs"), ("d/was", "it is a FIFO instead of a file")],
        ),
    ];
    for (what, harm, expected) in table {
        let fixture = Fixture::new();
        let layer = layer(&fixture);
        harm(&fixture.root());
        let found = damages(&fixture, &layer);
        let found: Vec<_> = found.iter().map(|d| (d.path.as_str(), d.problem.as_str())).collect();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn whiteouts_and_marks_are_looked_at() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    let layer = layer(&fixture);
    rustix::fs::removexattr(fixture.path("implied"), "trusted.overlay.opaque").unwrap();
    fs::remove_file(fixture.path("null")).unwrap();
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0));
    fs::remove_file(fixture.path("d/hidden")).unwrap();
    let device = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(rustix::fs::CWD, fixture.path("d/hidden"), kind, mode, device).unwrap();
    let found = damages(&fixture, &layer);
    let found: Vec<_> = found.iter().map(|d| (d.path.as_str(), d.problem.as_str())).collect();
    assert_eq!(
        found,
        [
            ("d", "its modification time differs"),
            ("d/hidden", "it is another device"),
            ("implied", "it is no longer marked as opaque"),
            ("null", "it is gone"),
        ]
    );
}

#[test]
fn a_damaged_tar_split_is_an_error() {
    let fixture = Fixture::new();
    let layer = layer(&fixture);
    let half = &layer.tar_split[..layer.tar_split.len() / 2];
    assert!(archive::verify(half, &fixture.root()).is_err());
    assert!(archive::verify(&b"nonsense"[..], &fixture.root()).is_err());
}

#[test]
fn very_many_damages_are_counted() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..1500).map(|n| format!("{n}")).collect();
    let layer = fixture.apply(&tar(names.iter().map(|name| file(name, "")))).unwrap();
    for name in &names {
        fs::remove_file(fixture.path(name)).unwrap();
    }
    let verified = archive::verify(&layer.tar_split[..], &fixture.root()).unwrap();
    assert_eq!((verified.damages.len(), verified.damaged), (1000, 1500));
}
