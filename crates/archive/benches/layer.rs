//! A layer of 32 MiB in 2,000 files: read, inflated and hashed; parsed; unpacked; rebuilt.

use std::io::{Write, sink};
use std::path::Path;

use archive::{
    ApplyOptions, ArchiveError, LAYER_LEVEL, TarEntry, TarWriter, compress_gzip,
    inspect_compressed, read_entries, rebuild, unpack,
};
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

const FILES: usize = 2000;
const FILE_SIZE: usize = 16 << 10;

/// A tar whose content compresses about as well as that of programs.
fn tar() -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let mut state = 1_u64;
    for number in 0..FILES {
        let mut content = Vec::with_capacity(FILE_SIZE);
        while content.len() < FILE_SIZE {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            content.extend_from_slice(&state.to_le_bytes()[4..]);
            content.extend_from_slice(b"same");
        }
        let name = format!("file-{number}");
        let size = FILE_SIZE as u64;
        tar.start(&TarEntry { name: &name, mode: 0o644, modified: 0, size }).expect("memory");
        tar.write_content(&content).expect("memory");
    }
    tar.finish().expect("memory")
}

fn compressed(tar: &[u8]) -> Vec<u8> {
    compress_gzip(tar, Vec::new(), LAYER_LEVEL, 1).expect("memory")
}

fn counter(tar: &[u8]) -> BytesCount {
    BytesCount::of_slice(tar)
}

/// The tar alone: headers and content go by.
#[divan::bench]
fn parse(bencher: divan::Bencher) {
    let tar = tar();
    bencher.counter(counter(&tar)).bench(|| {
        read_entries(tar.as_slice(), u64::MAX, |_, content| {
            content.copy(|_| Ok::<_, ArchiveError>(()))
        })
    });
}

/// All that a pull does to a layer but to write it.
#[divan::bench]
fn inflate_and_hash(bencher: divan::Bencher) {
    let tar = tar();
    let layer = compressed(&tar);
    let read = || inspect_compressed(layer.as_slice(), None, None, &|_| {});
    bencher.counter(counter(&tar)).bench(read);
}

#[divan::bench]
fn compress(bencher: divan::Bencher) {
    let tar = tar();
    bencher.counter(counter(&tar)).bench(|| compressed(&tar));
}

fn unpacked(layer: &[u8], root: &Path, tar_split: impl Write) {
    let options = ApplyOptions { owners: false, ..ApplyOptions::default() };
    unpack(layer, root, tar_split, None, &options, &|_| {}).expect("the layer is unpacked");
}

#[divan::bench(sample_count = 20)]
fn unpack_files(bencher: divan::Bencher) {
    let tar = tar();
    let layer = compressed(&tar);
    let folder = || tempfile::tempdir().expect("a folder");
    bencher.counter(counter(&tar)).with_inputs(folder).bench_refs(|folder| {
        unpacked(&layer, folder.path(), sink());
    });
}

#[divan::bench(sample_count = 20)]
fn rebuild_tar(bencher: divan::Bencher) {
    let tar = tar();
    let folder = tempfile::tempdir().expect("a folder");
    let mut split = Vec::new();
    unpacked(&compressed(&tar), folder.path(), &mut split);
    bencher.counter(counter(&tar)).bench(|| rebuild(split.as_slice(), folder.path(), sink()));
}
