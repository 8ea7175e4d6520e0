//! Compressed layers, small and large, whole and broken.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use archive::{ApplyOptions, ArchiveError, Compression, compress_gzip};
use bzip2::write::BzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use spec::Digest;

use crate::builder::{file, tar};
use crate::fixture::{Fixture, options};

/// A tar beyond what is done on one thread, however it is compressed.
fn large() -> Vec<u8> {
    let mut state = 1_u64;
    let mut noise = |size: usize| -> Vec<u8> {
        (0..size)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect()
    };
    tar((0..40).map(|index| file(&format!("d/{index}"), noise(70_000))))
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn unpack(
    compressed: impl Read + Send,
    options: &ApplyOptions,
) -> (Fixture, Result<archive::Unpacked, ArchiveError>) {
    let fixture = Fixture::new();
    let result = archive::unpack(compressed, &fixture.root(), io::sink(), None, options, &|_| {});
    fixture.assert_confined();
    (fixture, result)
}

#[test]
fn every_compression_gives_the_same_layer() {
    for tar in [tar([file("d/0", "small")]), large()] {
        let forms = [
            (Compression::None, tar.clone()),
            (Compression::Gzip, compress_gzip(&tar[..], Vec::new(), 6, 2).unwrap()),
            (Compression::Zstd, zstd::bulk::compress(&tar, 3).unwrap()),
            (Compression::Xz, xz(&tar)),
            (Compression::Bzip2, bzip2(&tar)),
        ];
        for (compression, bytes) in forms {
            let fixture = Fixture::new();
            let seen = AtomicU64::new(0);
            let mut tar_split = Vec::new();
            let progress = |read| assert!(seen.swap(read, Ordering::Relaxed) < read);
            let unpacked = archive::unpack(
                &bytes[..],
                &fixture.root(),
                &mut tar_split,
                None,
                &options(),
                &progress,
            )
            .unwrap();
            assert_eq!(unpacked.compression, compression);
            assert_eq!(unpacked.compressed_size, bytes.len() as u64);
            assert_eq!(seen.into_inner(), bytes.len() as u64);
            assert_eq!(unpacked.applied.diff_id.digest(), &Digest::sha256(&tar));
            assert_eq!(unpacked.applied.size, fixture.walked_size());
            let mut rebuilt = Vec::new();
            archive::rebuild(&tar_split[..], &fixture.root(), &mut rebuilt).unwrap();
            assert!(rebuilt == tar);

            let inspected = archive::inspect_compressed(&bytes[..], None, None, &|_| {}).unwrap();
            assert_eq!(inspected, unpacked);
        }
    }
}

#[test]
fn broken_streams_are_the_codec_s_fault() {
    for tar in [tar([file("f", "small")]), large()] {
        let whole = compress_gzip(&tar[..], Vec::new(), 1, 1).unwrap();
        let frame = zstd::bulk::compress(&tar, 1).unwrap();
        let mut wrong_crc = whole.clone();
        let at = wrong_crc.len() - 8;
        wrong_crc[at] ^= 1;
        let cases = [
            ("gzip cut", whole[..whole.len() / 2].to_vec()),
            ("gzip trailer cut", whole[..whole.len() - 1].to_vec()),
            ("gzip crc", wrong_crc),
            ("zstd cut", frame[..frame.len() - 1].to_vec()),
        ];
        for (what, bytes) in cases {
            let (_, result) = unpack(&bytes[..], &options());
            assert!(matches!(result, Err(ArchiveError::Decompress { .. })), "{what}: {result:?}");
        }
    }
}

#[test]
fn what_follows_a_stream_is_read_and_nothing_else() {
    for tar in [tar([file("f", "small")]), large()] {
        let gzip = compress_gzip(&tar[..], Vec::new(), 1, 1).unwrap();
        let zstd = zstd::bulk::compress(&tar, 1).unwrap();
        for (stream, rest) in [(&gzip, &[0; 512][..]), (&gzip, b"garbage"), (&zstd, b"garbage")] {
            let bytes = [stream, rest].concat();
            let mut source = &bytes[..];
            let (_, result) = unpack(source.by_ref(), &options());
            let unpacked = result.unwrap();
            assert!(source.is_empty(), "who hashes the source has hashed all");
            assert_eq!(unpacked.applied.tar_size, tar.len() as u64);
            assert_eq!(unpacked.compressed_size, bytes.len() as u64);
        }
    }
}

/// Gives its bytes and then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.0.read(target)
    }
}

#[test]
fn a_source_that_fails_is_told_apart() {
    let tar = large();
    let forms = [
        tar.clone(),
        compress_gzip(&tar[..], Vec::new(), 1, 1).unwrap(),
        zstd::bulk::compress(&tar, 1).unwrap(),
        xz(&tar),
        bzip2(&tar),
    ];
    for bytes in forms {
        for length in [0, 10, 1000, 300_000, 2_000_000, bytes.len()] {
            let source = Failing(&bytes[..length]);
            let (_, result) = unpack(source, &options());
            match result {
                Err(ArchiveError::Read(error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                }
                other => panic!("{length} of {}: {other:?}", bytes.len()),
            }
        }
    }
}

#[test]
fn bombs_are_stopped() {
    let bomb = tar([file("zeros", vec![0; 64 << 20])]);
    let small = compress_gzip(&bomb[..], Vec::new(), 9, 2).unwrap();
    let layers = [
        xz(&bomb),
        bzip2(&bomb),
        small.clone(),
        [small, compress_gzip(&large()[..], Vec::new(), 1, 1).unwrap()].concat(),
    ];
    for layer in layers {
        let limited = ApplyOptions { max_tar_size: Some(8 << 20), ..options() };
        let (fixture, result) = unpack(&layer[..], &limited);
        assert!(matches!(result, Err(ArchiveError::TarTooLarge { limit }) if limit == 8 << 20));
        assert!(fixture.walked_size() <= 8 << 20, "no more than allowed was written");
    }
    let exact = ApplyOptions { max_tar_size: Some(bomb.len() as u64), ..options() };
    assert!(unpack(&bomb[..], &exact).1.is_ok());
}

#[test]
fn an_entry_that_fails_ends_the_stream_early() {
    // The bad entry comes early; the source has no end, so going on would hang.
    let bad = tar([file("x", ""), file("x", "")]);
    let endless = (&bad[..]).chain(io::repeat(0));
    let (_, result) = unpack(endless, &options());
    assert!(matches!(result, Err(ArchiveError::Duplicate { .. })));
}

#[test]
fn a_root_that_is_not_there() {
    let missing = std::path::Path::new("/nowhere/at/all");
    let result = archive::apply(&[][..], missing, io::sink(), &options());
    assert!(matches!(result, Err(ArchiveError::Io { path, .. }) if path == missing));
    let result = archive::rebuild(&[][..], missing, io::sink());
    assert!(matches!(result, Err(ArchiveError::Io { path, .. }) if path == missing));
}
