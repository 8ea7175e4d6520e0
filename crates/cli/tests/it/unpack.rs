//! `unpack`: an image as a directory, from either driver.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::json;
use test_support::image::{Compression, Image, Layer};
use test_support::program;
use test_support::servers::{LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Bench, FRONTS, Front, files_below, is_root, run};

fn image() -> Image {
    let layer = |entries: &[Entry]| Layer::new(Compression::Gzip, entries);
    Image::builder()
        .layer(layer(&[
            Entry::directory("etc"),
            Entry::file("etc/passwd", "app:x:1000:100::/srv:/bin/sh\n"),
            Entry::file("etc/old", "old"),
            Entry::directory("dir"),
            Entry::file("dir/hidden", "hidden"),
            Entry::hard_link("dir/same", "etc/old"),
        ]))
        .layer(layer(&[
            Entry::whiteout("etc/old"),
            Entry::opaque("dir"),
            Entry::file("dir/new", "new").owner(7, 8),
            Entry::symlink("link", "dir/new"),
        ]))
        .config("Cmd", json!(["/dir/new"]))
        .config("User", json!("app"))
        .build()
}

#[test]
fn an_image_becomes_a_directory() {
    let registry = LocalRegistry::start().unwrap();
    image().push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for front in FRONTS.into_iter().filter(|front| *front != Front::Docker) {
        for driver in ["overlay2", "packed"] {
            if driver == "overlay2" && !is_root() {
                continue;
            }
            let bench = Bench::new(front, &["--storage-driver", driver]);
            bench.run(&["pull", "-q", &name]).success();
            let target = bench.home.path().join("rootfs");
            let text = target.to_str().unwrap();
            bench.run(&["unpack", "-q", &name, text]).success();
            assert_eq!(files_below(&target), ["dir/new", "etc/passwd", "link"], "{driver}");
            assert_eq!(fs::read_to_string(target.join("link")).unwrap(), "new");
            if is_root() {
                let stat = fs::metadata(target.join("dir/new")).unwrap();
                assert_eq!((stat.uid(), stat.gid()), (7, 8));
            }

            let error = bench.run(&["unpack", "-q", &name, text]).failure();
            assert!(error.contains("is not empty"), "{error}");
            let other = bench.home.path().join("other");
            let error = bench.run(&["unpack", "nosuch", other.to_str().unwrap()]).failure();
            assert!(error.contains("No such image: nosuch"), "{error}");
            assert!(!other.exists());
            let arguments = ["unpack", "--platform", "linux/s390x", &name, other.to_str().unwrap()];
            let error = bench.run(&arguments).failure();
            assert!(error.contains("s390x") && !other.exists(), "{error}");
        }
    }
}

#[test]
fn a_bundle_is_what_a_runtime_takes() {
    let registry = LocalRegistry::start().unwrap();
    image().push(&registry.client(), "app", "1").unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let name = format!("{}/app:1", registry.address());
    bench.run(&["pull", "-q", &name]).success();
    // Relative paths are meant from where the user is.
    let mut command = bench.command();
    command.current_dir(bench.home.path()).args(["unpack", "-q", "--bundle", &name, "bundle"]);
    run(&mut command, "").success();
    let bundle = bench.home.path().join("bundle");
    assert!(bundle.join("rootfs/dir/new").exists());
    let config = fs::read(bundle.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["process"]["args"], json!(["/dir/new"]));
    assert_eq!(config["process"]["user"]["uid"], 1000);
    // `crun spec` writes what it takes: ours has the same sections.
    if let Ok(output) = Command::new("crun").arg("spec").current_dir(bench.home.path()).output()
        && output.status.success()
    {
        let theirs = fs::read(bench.home.path().join("config.json")).unwrap();
        let theirs: serde_json::Value = serde_json::from_slice(&theirs).unwrap();
        for key in theirs.as_object().unwrap().keys() {
            assert!(config.get(key).is_some(), "{key}");
        }
        let targets = |config: &serde_json::Value| -> Vec<String> {
            let mounts = config["mounts"].as_array().unwrap();
            mounts.iter().map(|mount| mount["destination"].to_string()).collect()
        };
        assert_eq!(targets(&config), targets(&theirs));
    }
}

#[test]
fn a_runtime_starts_a_bundle() {
    const GREETING: &str = "hello from a bundle\n";
    let can = is_root() && installed(&["runc"]);
    let Some(program) = program::printing(GREETING).filter(|_| can) else {
        println!("skipped: needs root, runc and an x86-64 machine");
        return;
    };
    let registry = LocalRegistry::start().unwrap();
    let entries = [Entry::directory("bin"), Entry::file("bin/hello", program).mode(0o755)];
    Image::builder()
        .layer(Layer::new(Compression::Gzip, &entries))
        .config("Cmd", json!(["/bin/hello"]))
        .build()
        .push(&registry.client(), "app", "1")
        .unwrap();
    for driver in ["overlay2", "packed"] {
        let bench = Bench::new(Front::InProcess, &["--storage-driver", driver]);
        let name = format!("{}/app:1", registry.address());
        bench.run(&["pull", "-q", &name]).success();
        let bundle = bench.home.path().join("bundle");
        bench.run(&["unpack", "-q", "--bundle", &name, bundle.to_str().unwrap()]).success();
        let mut runc = bench.home.clean("runc");
        runc.arg("--root").arg(bench.home.path().join("runc")).args(["run", "--bundle"]);
        let id = format!("longshore-{}-{driver}", std::process::id());
        assert_eq!(run(runc.arg(&bundle).arg(id), "").success(), GREETING, "{driver}");
    }
}
