//! Every command on a disk without a byte, without an inode, and on one that can only be read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind_recursive, mount_remount, unmount,
};
use test_support::image::{Compression, Image, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::{Entry, Writer};

use super::support::{Done, Home, files_below, is_root, noise, run, small_image};

/// A small file system under the data root of a home.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> Self {
        fs::create_dir_all(at).unwrap();
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=12m,nr_inodes=1000")).unwrap();
        Self(at)
    }

    fn fill_bytes(&self) {
        let mut file = File::create(self.0.join("ballast")).unwrap();
        io::copy(&mut io::repeat(1), &mut file).unwrap_err();
    }

    fn fill_inodes(&self) {
        let folder = self.0.join("ballasts");
        fs::create_dir_all(&folder).unwrap();
        let full = (0..1000).any(|number| File::create(folder.join(number.to_string())).is_err());
        assert!(full);
    }

    fn protect(&self) {
        mount_bind_recursive(self.0, self.0).unwrap();
        mount_remount(self.0, MountFlags::BIND | MountFlags::RDONLY, "").unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        while unmount(self.0, UnmountFlags::DETACH).is_ok() {}
    }
}

fn with_driver(home: &Home, driver: &str, arguments: &[&str]) -> Done {
    run(home.longshore().args(["--storage-driver", driver]).args(arguments), "")
}

/// Commands that only read, where the image is `name`, and archives go to `out`.
fn reads<'a>(name: &'a str, out: &'a str, target: &'a str) -> Vec<Vec<&'a str>> {
    vec![
        vec!["images"],
        vec!["images", "--tree"],
        vec!["inspect", name],
        vec!["history", name],
        vec!["save", "-o", out, name],
        vec!["push", "-q", name],
        vec!["info"],
        vec!["system", "df", "-v"],
        vec!["system", "check", "--deep"],
        vec!["unpack", name, target],
    ]
}

/// Commands that write.
fn writes<'a>(name: &'a str, other: &'a str, archive: &'a str, tar: &'a str) -> Vec<Vec<&'a str>> {
    vec![
        vec!["pull", "-q", other],
        vec!["load", "-q", "-i", archive],
        vec!["import", tar, "imported:1"],
        vec!["tag", name, "tagged:1"],
    ]
}

/// Commands that take away, for which there is room on a full disk.
fn removals(name: &str) -> [Vec<&str>; 2] {
    [vec!["rmi", name], vec!["prune", "-a", "-f"]]
}

/// Nothing in the store is to blame if another disk is full.
#[test]
fn a_full_stick_is_told_from_a_full_store() {
    if !is_root() {
        println!("skipped: needs the right to mount");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    small_image(1).push(&registry.client(), "app", "1").unwrap();
    let (home, name) = (Home::new(), format!("{}/app:1", registry.address()));
    home.run(&["pull", "-q", &name]).success();
    let folder = home.path().join("stick");
    let stick = Disk::mount(&folder);
    stick.fill_bytes();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let archive = at("app.tar");
    let said = [
        home.run(&["save", "-o", &archive, &name]),
        home.run(&["copy", &name, &format!("oci:{}:1", at("layout"))]),
        home.run(&["copy", &name, &format!("dir:{}", at("dir"))]),
        home.run(&["copy", &name, &format!("oci-archive:{}", at("oci.tar"))]),
    ];
    for said in said.map(Done::failure) {
        let line = said.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(line.contains("there is no room where") && line.contains("stick"), "{said}");
        assert!(!said.contains("prune"), "{said}");
    }
}

#[test]
fn what_only_reads_works_on_full_and_protected_disks_and_what_writes_says_why() {
    if !is_root() {
        println!("skipped: needs the right to mount");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    for tag in ["1", "2"] {
        small_image(tag.parse().unwrap()).push(&registry.client(), "app", tag).unwrap();
    }
    let [here, other] = ["1", "2"].map(|tag| format!("{}/app:{tag}", registry.address()));
    let elsewhere = Home::new();
    elsewhere.run(&["pull", "-q", &other]).success();
    let [archive, tar] = ["image.tar", "rootfs.tar"].map(|name| elsewhere.path().join(name));
    let [archive, tar] = [archive, tar].map(|path| path.to_str().unwrap().to_owned());
    elsewhere.run(&["save", "-o", &archive, &other]).success();
    let mut writer = Writer::new(File::create(&tar).unwrap());
    writer.append(&Entry::file("file", noise(9, 50_000))).unwrap();
    writer.finish().unwrap();
    for driver in ["overlay2", "packed"] {
        for state in ["bytes", "inodes", "protected"] {
            let home = Home::new();
            let root = home.data_root();
            let disk = Disk::mount(&root);
            let run = |arguments: &[&str]| with_driver(&home, driver, arguments);
            run(&["pull", "-q", &here]).success();
            let (out, target) = (home.path().join("out.tar"), home.path().join("target"));
            let (out, target) = (out.to_str().unwrap(), target.to_str().unwrap());
            match state {
                "bytes" => disk.fill_bytes(),
                "inodes" => disk.fill_inodes(),
                _ => disk.protect(),
            }
            for command in reads(&here, out, target) {
                let done = run(&command);
                assert!(done.ok, "{driver} {state} {command:?}: {}", done.stderr);
            }
            let why = if state == "protected" {
                "ead-only file system"
            } else {
                "no space left on device"
            };
            for command in writes(&here, &other, &archive, &tar) {
                let error = run(&command).failure();
                assert!(error.contains(why), "{driver} {state} {command:?}: {error}");
            }
            if state == "protected" {
                for command in removals(&here) {
                    let error = run(&command).failure();
                    assert!(error.contains(why), "{driver} {state} {command:?}: {error}");
                }
                continue;
            }
            run(&["rmi", &here]).success();
            assert_eq!(run(&["images", "-aq"]).success(), "", "{driver} {state}");
        }
    }
}

/// An image of layers that no compression makes smaller, of these sizes in MiB.
fn large_image(layers: &[usize]) -> Image {
    let mut image = Image::builder();
    for (seed, size) in (20..).zip(layers) {
        let file = Entry::file(format!("file-{seed}"), noise(seed, size << 20));
        image = image.layer(Layer::new(Compression::Gzip, &[file]));
    }
    image.build()
}

#[test]
fn an_image_whose_layers_are_all_here_needs_no_room_for_them() {
    if !is_root() {
        println!("skipped: needs the right to mount");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let file = Entry::file("file", noise(20, 3 << 20));
    let layer = Layer::new(Compression::Gzip, &[file]);
    for tag in ["old", "new"] {
        let image = Image::builder().layer(layer.clone()).label("tag", tag).build();
        image.push(&registry.client(), "app", tag).unwrap();
    }
    let [old, new] = ["old", "new"].map(|tag| format!("{}/app:{tag}", registry.address()));
    let home = Home::new();
    let root = home.data_root();
    let _disk = Disk::mount(&root);
    with_driver(&home, "overlay2", &["pull", "-q", &old]).success();
    // As if an archive had brought the layer.
    fs::remove_dir_all(root.join("image/overlay2/distribution")).unwrap();
    let blob = layer.blob.digest.hex();
    fs::remove_file(root.join("longshore/content/blobs/sha256").join(blob)).unwrap();
    let ballast = io::repeat(1).take(7 << 20);
    io::copy(&mut { ballast }, &mut File::create(root.join("ballast")).unwrap()).unwrap();
    with_driver(&home, "overlay2", &["pull", "-q", &new]).success();
}

#[test]
fn a_disk_that_is_too_small_is_no_fault_of_the_image() {
    if !is_root() {
        println!("skipped: needs the right to mount");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    large_image(&[7, 7]).push(&registry.client(), "app", "two").unwrap();
    large_image(&[14]).push(&registry.client(), "app", "one").unwrap();
    let [one, two] = ["one", "two"].map(|tag| format!("{}/app:{tag}", registry.address()));
    for driver in ["overlay2", "packed"] {
        let roomy = Home::new();
        let archive = roomy.path().join("two.tar");
        let archive = archive.to_str().unwrap();
        for name in [&one, &two] {
            with_driver(&roomy, driver, &["pull", "-q", name]).success();
        }
        with_driver(&roomy, driver, &["save", "-o", archive, &two]).success();
        let home = Home::new();
        let root = home.data_root();
        let _disk = Disk::mount(&root);
        let error = with_driver(&home, driver, &["pull", &two]).failure();
        assert!(error.contains("no space left on device for"), "{driver}: {error}");
        assert!(error.contains("at least ") && error.contains(" are needed and "), "{error}");
        assert_eq!(files_below(&root.join("longshore/ingest")), [""; 0], "before the transfer");
        let error = with_driver(&home, driver, &["load", "-i", archive]).failure();
        assert!(error.contains("no space left on device"), "{driver}: {error}");
        assert!(error.contains("at least ") && error.contains(" are needed and "), "{error}");
        // Somewhere else, of which the data root knows nothing.
        for (name, expected) in
            [(&one, "no space left on device for"), (&two, "failed to unpack layer")]
        {
            let target = root.join("target");
            let unpack = ["unpack", name, target.to_str().unwrap()];
            let error = with_driver(&roomy, driver, &unpack).failure();
            assert!(error.contains(expected), "{driver}: {error}");
            assert!(error.contains("no space left on device"), "{driver}: {error}");
            assert!(!target.exists());
        }
    }
}
