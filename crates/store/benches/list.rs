//! The store's part in a list of 10,000 images.

use std::path::Path;

use spec::Digest;
use store::{DriverKind, Store, StoreOptions};

fn main() {
    divan::main();
}

const IMAGES: usize = 10_000;

/// A data root with images as dockerd leaves them, whose layers are gone.
fn fill(root: &Path) {
    let configs = root.join("image/overlay2/imagedb/content/sha256");
    std::fs::create_dir_all(&configs).expect("a folder");
    let mut references = Vec::with_capacity(IMAGES);
    for number in 0..IMAGES {
        let layer = Digest::sha256(number.to_string().as_bytes());
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z",
            "config":{{"Labels":{{"number":"{number}"}}}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
        );
        let id = Digest::sha256(config.as_bytes());
        std::fs::write(configs.join(id.hex()), config).expect("a file");
        references.push(format!(r#""image-{number}":{{"image-{number}:latest":"{id}"}}"#));
    }
    let repositories = format!(r#"{{"Repositories":{{{}}}}}"#, references.join(","));
    std::fs::write(root.join("image/overlay2/repositories.json"), repositories).expect("a file");
}

fn open(root: &Path) -> Store {
    let options = StoreOptions {
        root: root.to_owned(),
        driver: Some(DriverKind::Overlay2),
        keep_blobs: false,
    };
    Store::open(options).expect("a store")
}

/// A process that lists once, by the catalog that the one before it wrote.
#[divan::bench(sample_count = 20)]
fn first_list(bencher: divan::Bencher) {
    let root = tempfile::tempdir().expect("a folder");
    fill(root.path());
    open(root.path()).describe_images().expect("a list");
    bencher.with_inputs(|| open(root.path())).bench_refs(|store| store.describe_images());
}

/// A daemon that lists again.
#[divan::bench(sample_count = 20)]
fn next_list(bencher: divan::Bencher) {
    let root = tempfile::tempdir().expect("a folder");
    fill(root.path());
    let store = open(root.path());
    store.describe_images().expect("a list");
    bencher.bench(|| (store.describe_images(), store.described_sizes()));
}

#[divan::bench]
fn references(bencher: divan::Bencher) {
    let root = tempfile::tempdir().expect("a folder");
    fill(root.path());
    let store = open(root.path());
    bencher.bench(|| store.references().map(|references| references.iter().count()));
}
