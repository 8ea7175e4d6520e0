//! Sites: what is left, what is refused, and what others can and cannot do meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::error::DirectoryRefusal;

struct Fixture {
    folder: tempfile::TempDir,
    data_root: DataRoot,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        let data_root = DataRoot::find(&folder.path().join("root")).unwrap();
        Self { folder, data_root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn site(&self, name: &str) -> Result<Site> {
        Site::new(&self.path(name), &self.data_root)
    }

    /// Makes what a killed process leaves: files in a directory that is closed, in one that is marked.
    fn leftover(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.join("bin/deep")).unwrap();
        fs::set_permissions(path.join("bin"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(STAGING_MODE)).unwrap();
    }

    /// Makes a directory of somebody else, with a file in it.
    fn foreign(&self, name: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("precious"), "kept").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Reads the file of a directory of somebody else, and removes both.
    fn take(&self, name: &str) -> String {
        let content = fs::read_to_string(self.path(name).join("precious")).unwrap();
        fs::remove_dir_all(self.path(name)).unwrap();
        content
    }

    fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The mode of a directory in which something is made.
const STAGING_MODE: u32 = 0o1700;

fn refusal(site: Result<Site>) -> DirectoryRefusal {
    match site {
        Err(EngineError::DirectoryRefused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_a_living_one_makes_is_not() {
    let fixture = Fixture::new();
    fixture.leftover(".target.longshore-1-0");
    fixture.leftover(".other.longshore-1-0");
    let first = fixture.site("target").unwrap();
    let second = fixture.site("target").unwrap();
    assert_eq!(fixture.names(".").len(), 4, "{:?}", fixture.names("."));
    first.finish().unwrap();
    drop(second);
    assert_eq!(fixture.names("."), [".other.longshore-1-0", "root", "target"]);

    fs::create_dir(fixture.path("inside")).unwrap();
    fixture.leftover("inside/.longshore-1-0");
    fixture.leftover("inside/.longshore-4194304-17");
    let site = fixture.site("inside").unwrap();
    assert_eq!(fixture.names("inside").len(), 1);
    assert_eq!(refusal(fixture.site("inside")), DirectoryRefusal::NotEmpty);
    drop(site);
    assert_eq!(fixture.names("inside"), [""; 0]);
}

#[test]
fn what_only_looks_like_a_leftover_is_kept() {
    let fixture = Fixture::new();
    let suffixes =
        ["backup", "1", "1-", "-1", "-", "1-2-3", "1-x", "+1-2", "20261128-1 ", "1-0.old", ""];
    for suffix in suffixes {
        for mode in [STAGING_MODE, 0o755] {
            fixture.foreign(&format!("in/.longshore-{suffix}"), mode);
            assert_eq!(refusal(fixture.site("in")), DirectoryRefusal::NotEmpty, "{suffix}");
            fixture.foreign(&format!(".new.longshore-{suffix}"), mode);
            fixture.site("new").unwrap();
            assert_eq!(fixture.take(&format!("in/.longshore-{suffix}")), "kept", "{suffix}");
            assert_eq!(fixture.take(&format!(".new.longshore-{suffix}")), "kept", "{suffix}");
        }
    }
    // The form of the name, and a mode that people give.
    for mode in [0o700, 0o755, 0o1777, 0o2700] {
        fixture.foreign("in/.longshore-20261128-1", mode);
        assert_eq!(refusal(fixture.site("in")), DirectoryRefusal::NotEmpty, "{mode:o}");
        fixture.foreign(".new.longshore-20261128-1", mode);
        fixture.site("new").unwrap();
        assert_eq!(fixture.take("in/.longshore-20261128-1"), "kept", "{mode:o}");
        assert_eq!(fixture.take(".new.longshore-20261128-1"), "kept", "{mode:o}");
    }
    // A leftover beside files of somebody stays, as nothing is unpacked there.
    fixture.leftover("in/.longshore-1-0");
    fs::write(fixture.path("in/file"), "").unwrap();
    assert_eq!(refusal(fixture.site("in")), DirectoryRefusal::NotEmpty);
    assert_eq!(fixture.names("in"), [".longshore-1-0", "file"]);
}

#[test]
fn a_directory_appears_whole_and_is_closed_before() {
    let fixture = Fixture::new();
    let site = fixture.site("target").unwrap();
    let staging = fixture.names(".").into_iter().find(|name| name.contains("longshore")).unwrap();
    assert_eq!(mode(&fixture.path(&staging)), STAGING_MODE);
    site.write_file("file", b"content").unwrap();
    site.make_directory("rootfs").unwrap();
    assert!(!fixture.path("target").exists());
    site.finish().unwrap();
    assert_eq!(fixture.names("target"), ["file", "rootfs"]);
    assert_eq!(mode(&fixture.path("target")), mode(&fixture.path("root")));
    let long = "n".repeat(255);
    fixture.site(&long).unwrap().finish().unwrap();
    assert!(fixture.path(&long).is_dir());
}

#[test]
fn an_empty_directory_is_filled_and_stays_the_same() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("real")).unwrap();
    symlink("real", fixture.path("link")).unwrap();
    for name in ["real", "real/", "real/.", "link", "link/.", "root/../real"] {
        fs::set_permissions(fixture.path("real"), fs::Permissions::from_mode(0o750)).unwrap();
        let before = fs::metadata(fixture.path("real")).unwrap().ino();
        let site = fixture.site(name).unwrap();
        let closed = site.make_directory("closed").unwrap();
        rustix::fs::fchmod(closed, rustix::fs::Mode::from_raw_mode(0o555)).unwrap();
        site.write_file("file", b"content").unwrap();
        site.finish().unwrap();
        assert_eq!(fixture.names("real"), ["closed", "file"], "{name}");
        assert_eq!(mode(&fixture.path("real/closed")), 0o555);
        let after = fs::metadata(fixture.path("real")).unwrap().ino();
        assert_eq!((mode(&fixture.path("real")), after), (0o750, before), "{name}");
        fs::remove_dir(fixture.path("real/closed")).unwrap();
        fs::remove_file(fixture.path("real/file")).unwrap();
    }
}

#[test]
fn what_is_no_place_for_an_image_is_refused() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("full/dir")).unwrap();
    fs::create_dir_all(fixture.path("disk/lost+found")).unwrap();
    fs::create_dir_all(fixture.path("root/image")).unwrap();
    fs::write(fixture.path("file"), "").unwrap();
    symlink("nothing", fixture.path("dangling")).unwrap();
    symlink("root", fixture.path("link")).unwrap();
    let own = || DirectoryRefusal::InDataRoot(fixture.data_root.path().to_owned());
    let relative = Site::new(Path::new("target"), &fixture.data_root);
    assert_eq!(refusal(relative), DirectoryRefusal::NotAbsolute);
    for (name, expected) in [
        ("full", DirectoryRefusal::NotEmpty),
        ("disk", DirectoryRefusal::LostAndFound),
        ("dangling", DirectoryRefusal::DanglingLink),
        ("nothing/..", DirectoryRefusal::Nameless),
        ("root", own()),
        ("root/image", own()),
        ("root/new", own()),
        ("link/new", own()),
        ("link/image", own()),
    ] {
        assert_eq!(refusal(fixture.site(name)), expected, "{name}");
    }
    for (name, part) in
        [("file", "Not a directory"), ("file/x", "Not a directory"), ("no/x", "No such file")]
    {
        let error = fixture.site(name).unwrap_err().message();
        assert!(error.contains(part), "{name}: {error}");
    }
    assert_eq!(fixture.names("."), ["dangling", "disk", "file", "full", "link", "root"]);
}

/// The kind of CVE-2018-15664: who owns the parent swaps what is being made for a symlink.
#[test]
fn an_exchanged_directory_gets_nothing() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("victim")).unwrap();
    fs::create_dir(fixture.path("theirs")).unwrap();
    for publishes in [true, false] {
        let site = fixture.site("theirs/target").unwrap();
        let name = fixture.names("theirs").remove(0);
        fs::rename(fixture.path("theirs").join(&name), fixture.path("moved")).unwrap();
        symlink(fixture.path("victim"), fixture.path("theirs").join(&name)).unwrap();
        site.write_file("authorized_keys", b"key").unwrap();
        if publishes {
            assert_eq!(
                refusal(site.finish().map(|()| unreachable!())),
                DirectoryRefusal::Exchanged
            );
        } else {
            drop(site);
        }
        assert_eq!(fixture.names("victim"), [""; 0]);
        assert_eq!(fixture.names("moved"), [""; 0], "what was made is removed all the same");
        fs::remove_dir(fixture.path("moved")).unwrap();
        for left in fixture.names("theirs") {
            fs::remove_file(fixture.path("theirs").join(left)).unwrap();
        }
    }
}

#[test]
fn a_parent_that_is_exchanged_gets_nothing() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("victim")).unwrap();
    fs::create_dir(fixture.path("theirs")).unwrap();
    let site = fixture.site("theirs/target").unwrap();
    fs::rename(fixture.path("theirs"), fixture.path("moved")).unwrap();
    symlink(fixture.path("victim"), fixture.path("theirs")).unwrap();
    site.write_file("file", b"").unwrap();
    site.finish().unwrap();
    assert_eq!(fixture.names("victim"), [""; 0]);
    assert_eq!(fixture.names("moved/target"), ["file"]);
}
