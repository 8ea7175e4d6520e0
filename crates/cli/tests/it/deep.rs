//! Images of many layers: any number of them where layers are not put on one another, Docker's bound where they are.

use std::fs;

use test_support::image::{Compression, Image, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::{Bench, Front, files_below, is_root};

/// More than dockerd takes.
const MANY: usize = 200;

fn push(registry: &LocalRegistry, layers: usize) -> String {
    let mut image = Image::builder();
    for number in 0..layers {
        let entries = [Entry::file(format!("f{number}"), number.to_string())];
        image = image.layer(Layer::new(Compression::Gzip, &entries));
    }
    image.build().push(&registry.client(), "deep", &layers.to_string()).unwrap();
    format!("{}/deep:{layers}", registry.address())
}

#[test]
fn without_overlays_an_image_has_any_number_of_layers() {
    let registry = LocalRegistry::start().unwrap();
    let name = push(&registry, MANY);
    let bench = Bench::new(Front::InProcess, &["--storage-driver", "packed"]);
    bench.run(&["pull", "-q", &name]).success();
    let archive = bench.home.path().join("deep.tar");
    let archive = archive.to_str().unwrap();
    bench.run(&["save", "-o", archive, &name]).success();
    bench.run(&["push", "-q", &name]).success();
    bench.run(&["rmi", &name]).success();
    bench.run(&["load", "-q", "-i", archive]).success();
    let target = bench.home.path().join("target");
    bench.run(&["unpack", "-q", &name, target.to_str().unwrap()]).success();
    assert_eq!(files_below(&target).len(), MANY);
    bench.run(&["system", "check", "--deep"]).success();
    if is_root() {
        let mounted = bench.home.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        bench.run(&["mount", &name, mounted.to_str().unwrap()]).success();
        let files = files_below(&mounted).len();
        bench.run(&["umount", mounted.to_str().unwrap()]).success();
        assert_eq!(files, MANY);
    }
}

#[test]
fn overlays_are_as_many_as_dockers() {
    if !is_root() {
        println!("skipped: overlay2 needs root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let bench = Bench::new(Front::InProcess, &["--storage-driver", "overlay2"]);
    let most = push(&registry, 125);
    bench.run(&["pull", "-q", &most]).success();
    let mounted = bench.home.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    bench.run(&["mount", &most, mounted.to_str().unwrap()]).success();
    let files = files_below(&mounted).len();
    bench.run(&["umount", mounted.to_str().unwrap()]).success();
    assert_eq!(files, 125);

    let more = push(&registry, 126);
    let error = bench.run(&["pull", "-q", &more]).failure();
    assert!(error.contains("failed to register layer: max depth exceeded"), "{error}");
    let packed = Bench::new(Front::InProcess, &["--storage-driver", "packed"]);
    packed.run(&["pull", "-q", &more]).success();
    let archive = packed.home.path().join("deep.tar");
    packed.run(&["save", "-o", archive.to_str().unwrap(), &more]).success();
    let error = bench.run(&["load", "-q", "-i", archive.to_str().unwrap()]).failure();
    assert_eq!(error.trim(), "max depth exceeded");
}
