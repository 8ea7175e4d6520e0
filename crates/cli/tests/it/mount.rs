//! `mount` and `umount`: an image's files in place, from either driver, for as long as they are wanted.

use std::fs;

use spec::Platform;
use test_support::image::{Compression, Image, Index, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::{Bench, Front, files_below, is_root};

/// Unmounts what a failed test leaves, or its folder could not be removed.
pub(super) struct Unmount<'a>(pub(super) &'a std::path::Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

fn image(layers: usize) -> Image {
    let mut image = Image::builder().layer(Layer::new(
        Compression::Gzip,
        &[
            Entry::directory("dir"),
            Entry::file("dir/old", *b"old"),
            Entry::file("dir/kept", *b"kept"),
        ],
    ));
    for number in 1..layers {
        let entries = [Entry::whiteout("dir/old"), Entry::file(format!("dir/{number}"), *b"new")];
        image = image.layer(Layer::new(Compression::Gzip, &entries));
    }
    image.build()
}

#[test]
fn an_image_is_mounted_and_stays_until_it_is_not() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    image(1).push(&registry.client(), "app", "one").unwrap();
    image(40).push(&registry.client(), "app", "many").unwrap();
    for (front, driver) in [(Front::InProcess, "overlay2"), (Front::Longshore, "packed")] {
        for (tag, files) in [("one", 2), ("many", 40)] {
            let bench = Bench::new(front, &["--storage-driver", driver]);
            let name = format!("{}/app:{tag}", registry.address());
            bench.run(&["pull", "-q", &name]).success();
            let target = bench.home.path().join("target");
            fs::create_dir(&target).unwrap();
            let path = target.to_str().unwrap();
            bench.run(&["mount", &name, path]).success();
            let _guard = Unmount(&target);
            assert_eq!(files_below(&target).len(), files, "{driver} {tag}");
            assert_eq!(fs::read(target.join("dir/kept")).unwrap(), b"kept");
            assert!(fs::write(target.join("dir/kept"), "changed").is_err(), "it is read-only");
            let listed = bench.run(&["mount"]).success();
            assert!(listed.trim().ends_with(&format!(" on {path}")), "{listed}");

            // Not even force takes it away, and a new process keeps it.
            for arguments in [&["rmi", &name][..], &["rmi", "-f", &name]] {
                let error = bench.run(arguments).failure();
                assert!(error.contains("image is mounted on"), "{error}");
            }
            bench.run(&["image", "prune", "-af"]).success();
            bench.run(&["system", "check", "--deep"]).success();
            assert_eq!(files_below(&target).len(), files);

            bench.run(&["umount", path]).success();
            assert_eq!(files_below(&target), [""; 0]);
            let error = bench.run(&["umount", path]).failure();
            assert!(error.contains("no image is mounted on"), "{error}");
            assert_eq!(bench.run(&["mount"]).success(), "");
            bench.run(&["rmi", &name]).success();
            let own = bench.home.data_root().join("longshore");
            assert_eq!(files_below(&own.join("mounts")), [""; 0]);
            assert_eq!(files_below(&own.join("content/blobs")), [""; 0]);
        }
    }
}

/// Another platform of an index is here as blobs alone: its files come with the mount and go with it.
#[test]
fn another_platform_is_mounted_without_staying() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let of = |platform: Platform, content: &[u8]| {
        let lower = Layer::new(Compression::Gzip, &[Entry::file("old", *b"old")]);
        let entries = [Entry::whiteout("old"), Entry::file("own", content.to_vec())];
        let upper = Layer::new(Compression::Gzip, &entries);
        Image::builder().platform(platform).layer(lower).layer(upper).build()
    };
    let other = of(Platform::parse("linux/s390x").unwrap(), b"other");
    let id = other.id();
    let index = Index::attested(vec![of(Platform::host(), b"own"), other]);
    index.push(&registry.client(), "app", "1").unwrap();
    for (front, driver) in [(Front::InProcess, "overlay2"), (Front::Longshore, "packed")] {
        let bench = Bench::new(front, &["--storage-driver", driver]);
        let name = format!("{}/app:1", registry.address());
        bench.run(&["pull", "-q", "--all-platforms", &name]).success();
        let target = bench.home.path().join("target");
        fs::create_dir(&target).unwrap();
        let path = target.to_str().unwrap();
        let error = bench.run(&["mount", "--platform", "linux/386", &name, path]).failure();
        assert!(error.contains("does not match the specified platform (linux/386)"), "{error}");
        let layers = || {
            let layerdb = bench.home.data_root().join(format!("image/{driver}/layerdb/sha256"));
            fs::read_dir(layerdb).unwrap().count()
        };
        let before = layers();

        let mount = || bench.run(&["mount", "--platform", "linux/s390x", &name, path]).success();
        mount();
        let _guard = Unmount(&target);
        let shown = || (files_below(&target), fs::read(target.join("own")).unwrap());
        let expected = (vec!["own".to_owned()], b"other".to_vec());
        assert_eq!(shown(), expected, "{driver}");
        assert_eq!(bench.run(&["mount"]).success(), format!("{id} on {path}\n"));
        assert_eq!(layers(), before, "{driver}: its layers do not stay");
        bench.run(&["rmi", &name]).success();
        bench.run(&["system", "check", "--deep"]).success();
        assert_eq!(shown(), expected, "{driver}: the files are its own");
        bench.run(&["umount", path]).success();
        let own = bench.home.data_root().join("longshore");
        assert_eq!(files_below(&own.join("mounts")), [""; 0]);

        // One that has a name of its own is mounted and stays as any image.
        bench.run(&["pull", "-q", "--all-platforms", &name]).success();
        bench.run(&["tag", "--platform", "linux/s390x", &name, "other:1"]).success();
        mount();
        assert_eq!(shown(), expected, "{driver}");
        let error = bench.run(&["rmi", "-f", "other:1"]).failure();
        assert!(error.contains("image is mounted on"), "{error}");
        bench.run(&["umount", path]).success();
        bench.run(&["rmi", &name, "other:1"]).success();
        assert_eq!(layers(), 0, "{driver}");
    }
}

#[test]
fn an_image_without_layers_is_an_empty_directory() {
    let registry = LocalRegistry::start().unwrap();
    Image::builder().build().push(&registry.client(), "empty", "1").unwrap();
    let name = format!("{}/empty:1", registry.address());
    let drivers: &[&str] = if is_root() { &["overlay2", "packed"] } else { &["packed"] };
    for driver in drivers {
        let bench = Bench::new(Front::InProcess, &["--storage-driver", driver]);
        bench.run(&["pull", "-q", &name]).success();
        let is_empty = |path: &std::path::Path| fs::read_dir(path).unwrap().next().is_none();
        let target = bench.home.path().join("unpacked");
        bench.run(&["unpack", "-q", &name, target.to_str().unwrap()]).success();
        assert!(is_empty(&target), "{driver}");
        if !is_root() {
            continue;
        }
        let target = bench.home.path().join("mounted");
        let path = target.to_str().unwrap();
        fs::create_dir(&target).unwrap();
        bench.run(&["mount", &name, path]).success();
        let _guard = Unmount(&target);
        assert!(is_empty(&target), "{driver}");
        assert!(fs::write(target.join("new"), "").is_err(), "{driver}: it is read-only");
        assert!(bench.run(&["rmi", &name]).failure().contains("image is mounted on"));
        bench.run(&["umount", path]).success();
        assert!(fs::write(target.join("new"), "").is_ok(), "{driver}: it is the folder again");
        bench.run(&["rmi", &name]).success();
        bench.run(&["system", "check", "--deep"]).success();
    }
}

#[test]
fn a_mount_that_is_gone_holds_nothing() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    image(2).push(&registry.client(), "app", "1").unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let name = format!("{}/app:1", registry.address());
    bench.run(&["pull", "-q", &name]).success();
    let target = bench.home.path().join("target");
    let path = target.to_str().unwrap();
    let error = bench.run(&["mount", &name, path]).failure();
    assert!(error.contains("failed to find") && error.contains("No such file"), "{error}");
    let error = bench.run(&["mount", "nosuch", "/tmp"]).failure();
    assert!(error.contains("No such image: nosuch:latest"), "{error}");
    fs::create_dir(&target).unwrap();
    bench.run(&["mount", &name, path]).success();
    // As a reboot does, or somebody with `umount`.
    rustix::mount::unmount(&target, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(bench.run(&["mount"]).success(), "");
    bench.run(&["rmi", &name]).success();
    assert_eq!(files_below(&bench.home.data_root().join("longshore/mounts")), [""; 0]);
}
