//! Disks without a byte, or without an inode, and those that can only be read.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

use super::support::{Root, Sample, assert_sound, drivers};
use crate::{DriverKind, Store, StoreError, files};

/// The thing that runs out first.
#[derive(Clone, Copy, Debug)]
enum Scarce {
    Bytes,
    Inodes,
}

/// A small file system.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = ["-t", "tmpfs", "-o", "size=8m,nr_inodes=1000", "tmpfs"];
        if mount(&options, disk.path()) {
            return Some(disk);
        }
        eprintln!("skipped: needs the right to mount");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self, scarce: Scarce) {
        let ballast = self.path().join("ballast");
        fs::create_dir_all(&ballast).unwrap();
        match scarce {
            Scarce::Bytes => {
                let mut file = File::create(ballast.join("bytes")).unwrap();
                io::copy(&mut io::repeat(1), &mut file).unwrap_err();
            }
            Scarce::Inodes => {
                let full = (0..1000).any(|number| {
                    File::create(ballast.join(number.to_string()))
                        .is_err_and(|error| error.kind() == io::ErrorKind::StorageFull)
                });
                assert!(full);
            }
        }
    }

    /// Has nothing written any more, not even by who has files open.
    fn protect(&self) {
        let path = self.path().to_str().unwrap();
        assert!(mount(&["--bind", path], self.path()));
        assert!(mount(&["-o", "remount,bind,ro"], self.path()));
    }

    fn free(&self) {
        // Not by removal alone: a child that another test begins may have it open for a moment.
        let _ = File::create(self.path().join("ballast/bytes"));
        fs::remove_dir_all(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmount = || Command::new("umount").arg("--lazy").arg(self.path()).output();
        while unmount().is_ok_and(|output| output.status.success()) {}
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    let output = Command::new("mount").args(options).arg(at).output();
    output.is_ok_and(|output| output.status.success())
}

fn reserve(store: &Store) -> usize {
    files::names(&store.paths().longshore().join("reserve")).unwrap().len()
}

/// Does `test` for each driver and each shortage.
fn on_full_disks(test: impl Fn(&Disk, &Root, DriverKind, Scarce)) {
    for driver in drivers() {
        for scarce in [Scarce::Bytes, Scarce::Inodes] {
            let Some(disk) = Disk::new() else { return };
            let root = Root::within(disk.path(), driver);
            test(&disk, &root, driver, scarce);
        }
    }
}

#[test]
fn an_image_is_removed_from_a_full_disk() {
    on_full_disks(|disk, root, driver, scarce| {
        let store = &root.store;
        let samples = [("one:1", ["a", "bb"]), ("two:1", ["a", "ccc"])]
            .map(|(name, words)| Sample::new(name, &words));
        for sample in &samples {
            sample.pull(store).unwrap();
        }
        // Somebody else has the documents open, so that those that are replaced take room still.
        let other = root.reopen();
        assert!(other.references().unwrap().iter().count() > 0);
        assert!(other.listed_images().unwrap().len() == 2);
        disk.fill(scarce);
        let error = samples[0].pull(store).unwrap_err();
        assert!(error.is_shortage(), "{driver} {scarce:?}: {error}");
        assert_eq!(reserve(store), 8, "{driver} {scarce:?}: only removals get it");
        let [one, two] = &samples;
        one.untag(store);
        let removed = store.remove_image(&one.id()).unwrap();
        assert_eq!(removed.layers, [one.chain()[1].clone()], "{driver} {scarce:?}");
        disk.fill(scarce);
        two.untag(store);
        store.remove_image(&two.id()).unwrap();
        assert_sound(store);
        assert!(store.images().unwrap().is_empty());
        disk.free();
        root.reopen();
        assert_eq!(reserve(store), 8, "{driver} {scarce:?}: made again");
        one.pull(store).unwrap();
    });
}

#[test]
fn what_a_reader_holds_without_a_lease_stays_until_it_is_done() {
    on_full_disks(|disk, root, driver, scarce| {
        let store = &root.store;
        let sample = Sample::new("app:1", &["a", "bb"]);
        sample.pull(store).unwrap();
        disk.fill(scarce);
        let reader = store.reading_lease().unwrap();
        reader.hold_image(&sample.id()).unwrap();
        reader.hold_layer(&sample.chain()[1]).unwrap();
        sample.untag(store);
        let removed = store.remove_image(&sample.id()).unwrap();
        assert!(removed.deferred, "{driver} {scarce:?}");
        assert!(store.image(&sample.id()).unwrap().is_some());
        root.reopen();
        assert!(store.image(&sample.id()).unwrap().is_some(), "nor does a start take it away");
        drop(reader);
        assert!(store.image(&sample.id()).unwrap().is_none(), "{driver} {scarce:?}");
        assert_sound(store);
    });
}

#[test]
fn a_root_that_can_only_be_read_is_read() {
    for driver in drivers() {
        let Some(disk) = Disk::new() else { return };
        let root = Root::within(disk.path(), driver);
        let sample = Sample::new("app:1", &["a", "bb"]);
        sample.pull(&root.store).unwrap();
        // As a dockerd would leave it, and with a download that was given up.
        fs::write(root.store.paths().ingest().join("sha256-0"), [1; 5000]).unwrap();
        fs::remove_dir_all(root.store.paths().leases()).unwrap();
        fs::remove_file(root.store.paths().lock()).unwrap();
        disk.protect();
        let store = root.reopen();
        assert_eq!(store.images().unwrap(), [sample.id()]);
        let reader = store.reading_lease().unwrap();
        reader.hold_image(&sample.id()).unwrap();
        assert!(store.check().unwrap().findings.is_empty());
        assert_eq!(store.partial_downloads().unwrap(), 8192);
        for refused in [
            store.remove_image(&sample.id()).map(drop),
            sample.pull(&store).map(drop),
            store.lease().map(drop),
            store.remove_references(|_| Ok(())),
        ] {
            let error = refused.unwrap_err();
            let StoreError::Io { source, .. } = &error else { panic!("{error}") };
            let expected = [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::NotFound];
            assert!(expected.contains(&source.kind()), "{error}");
        }
    }
}
