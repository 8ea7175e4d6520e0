//! A disk that is full while a layer is unpacked, and what is done about it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use archive::{ApplyOptions, ArchiveError, MakeRoom, apply};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::builder::{directory, file, tar};
use crate::fixture::options;

/// A file system of a megabyte, or of a few inodes.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount.
    fn new(options: &std::ffi::CStr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), Some(options)).is_err() {
            println!("skipped: needs the right to mount");
            return None;
        }
        fs::create_dir(folder.path().join("root")).unwrap();
        Some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_made_room_on_for_bytes_and_for_files() {
    let many: Vec<_> = (0..30)
        .map(|number| {
            if number % 2 == 0 {
                file(&number.to_string(), "x")
            } else {
                directory(&number.to_string())
            }
        })
        .collect();
    for (mount_options, layer) in [
        (c"size=1m", tar([file("large", vec![7; 700 << 10])])),
        (c"size=1m,nr_inodes=40", tar(many)),
    ] {
        let Some(disk) = Disk::new(mount_options) else { return };
        let root = disk.0.path().join("root");
        let ballast = disk.0.path().join("ballast");
        let fill = || {
            fs::create_dir(&ballast).unwrap();
            for number in 0..25 {
                fs::write(ballast.join(number.to_string()), vec![1; 28 << 10]).unwrap();
            }
        };
        fill();
        let error = apply(&*layer, &root, std::io::sink(), &options()).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::StorageFull),
            "{error}"
        );
        fs::remove_dir_all(&root).unwrap();
        fs::create_dir(&root).unwrap();
        let (asked, left) = (Arc::new(AtomicU32::new(0)), ballast.clone());
        let counted = Arc::clone(&asked);
        let make_room = MakeRoom::new(move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            fs::remove_file(left.join(number.to_string())).is_ok()
        });
        let options = ApplyOptions { make_room: Some(make_room), ..options() };
        apply(&*layer, &root, std::io::sink(), &options).unwrap();
        let asked = asked.load(Ordering::Relaxed);
        assert!((1..25).contains(&asked), "no more than was needed: {asked}");
    }
}
