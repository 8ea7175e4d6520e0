//! The codecs: recognised, whole, broken, hostile.

use std::io::{BufReader, Cursor, Write};

use ::bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};

use super::*;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn decode(compression: Compression, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    decoder(compression, Cursor::new(bytes)).unwrap().read_to_end(&mut content)?;
    Ok(content)
}

/// Long enough to be cut.
const CONTENT: &[u8] = b"content that is long enough to be cut, and cut again";

#[test]
fn detects_by_magic() {
    let cases: &[(&[u8], Compression)] = &[
        (b"", Compression::None),
        (b"\x1f\x8b", Compression::None),
        (b"\x1f\x8b\x08\x00", Compression::Gzip),
        (b"\x1f\x8b\x07\x00", Compression::None),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        (b"\x50\x2a\x4d\x18", Compression::Zstd),
        (b"\x5f\x2a\x4d\x18\x00", Compression::Zstd),
        (b"\x60\x2a\x4d\x18", Compression::None),
        (b"\xfd7zXZ\0", Compression::Xz),
        (b"\xfd7zXZ\x01", Compression::None),
        (b"BZh91AY&SY", Compression::Bzip2),
        (b"BZh1\x17\x72\x45\x38\x50\x90", Compression::Bzip2),
        (b"BZh01AY&SY", Compression::None),
        (b"BZhang/", Compression::None),
        (b"BZh9/file\0", Compression::None),
        (b"etc/passwd", Compression::None),
    ];
    for (prefix, expected) in cases {
        assert_eq!(Compression::detect(prefix), *expected, "{prefix:02x?}");
    }
}

#[test]
fn decodes_several_members_and_frames() {
    let two = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(decode(Compression::Gzip, &two).unwrap(), b"one two");

    let frame = |content: &[u8]| zstd::bulk::compress(content, 3).unwrap();
    let skippable = [&b"\x51\x2a\x4d\x18\x03\x00\x00\x00abc"[..]].concat();
    let frames = [skippable, frame(b"one "), frame(b"two")].concat();
    assert_eq!(decode(Compression::Zstd, &frames).unwrap(), b"one two");
    assert_eq!(decode(Compression::None, b"plain").unwrap(), b"plain");

    let streams = [xz(b"one "), vec![0; 8], xz(b""), xz(b"two"), vec![0; 4]].concat();
    assert_eq!(decode(Compression::Xz, &streams).unwrap(), b"one two");
    let streams = [bzip2(b"one "), bzip2(b""), bzip2(b"two")].concat();
    assert_eq!(decode(Compression::Bzip2, &streams).unwrap(), b"one two");
}

#[test]
fn what_follows_the_last_stream_is_passed_over() {
    let streams = [
        (Compression::Gzip, gzip(CONTENT)),
        (Compression::Zstd, zstd::bulk::compress(CONTENT, 3).unwrap()),
        (Compression::Xz, xz(CONTENT)),
        (Compression::Bzip2, bzip2(CONTENT)),
    ];
    let long = b"garbage".repeat(100_000);
    let rests: [&[u8]; 8] =
        [&[0], &[0; 3], &[0; 512], b"garbage", &long, b"\0\0\0\0garbage", b"\x1f", b"BZh9"];
    for (compression, stream) in streams {
        for rest in rests {
            let bytes = [&stream[..], &stream, rest].concat();
            let label = format!("{compression} and {}", rest[..rest.len().min(20)].escape_ascii());
            assert_eq!(decode(compression, &bytes).unwrap(), CONTENT.repeat(2), "{label}");
            // All is read: a digest of the source covers it.
            let mut source = Cursor::new(&bytes);
            let mut decoder = decoder(compression, &mut source).unwrap();
            decoder.read_to_end(&mut Vec::new()).unwrap();
            drop(decoder);
            assert_eq!(source.position(), bytes.len() as u64, "{label}");
        }
    }
}

#[test]
fn refuses_what_is_cut_or_damaged() {
    let whole = gzip(CONTENT);
    let frame = zstd::bulk::compress(CONTENT, 3).unwrap();
    let xz = xz(CONTENT);
    let bzip2 = bzip2(CONTENT);
    let flip = |bytes: &[u8], at: usize| {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1;
        flipped
    };
    let cases = [
        (Compression::Gzip, whole[..whole.len() - 1].to_vec(), "cut gzip trailer"),
        (Compression::Gzip, whole[..whole.len() - 12].to_vec(), "cut gzip body"),
        (Compression::Gzip, [&whole[..], &whole[..20]].concat(), "cut second gzip"),
        (Compression::Gzip, flip(&whole, whole.len() - 6), "wrong crc"),
        (Compression::Zstd, frame[..frame.len() - 1].to_vec(), "cut zstd"),
        (Compression::Zstd, [&frame[..], &frame[..frame.len() - 1]].concat(), "cut second zstd"),
        (Compression::Xz, [&xz[..], &xz[..xz.len() - 1]].concat(), "cut second xz"),
        (Compression::Xz, flip(&xz, xz.len() - 4), "xz footer"),
        (Compression::Xz, flip(&xz, 7), "xz header"),
        (Compression::Bzip2, [&bzip2[..], &bzip2[..20]].concat(), "cut second bzip2"),
        (Compression::Bzip2, flip(&bzip2, 11), "bzip2 crc of the block"),
        (Compression::Bzip2, flip(&bzip2, bzip2.len() - 3), "bzip2 crc of the stream"),
    ];
    for (compression, bytes, what) in cases {
        assert!(decode(compression, &bytes).is_err(), "{what}");
    }
}

#[test]
fn refuses_an_enormous_zstd_window() {
    // A frame header that asks for a 2 GiB window (exponent 21), then an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    assert!(decode(Compression::Zstd, &frame).is_err());
    let modest = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 10 << 3, 0x01, 0x00, 0x00];
    assert_eq!(decode(Compression::Zstd, &modest).unwrap(), b"");
}

#[test]
fn every_cut_is_seen() {
    for (compression, whole) in [
        (Compression::Gzip, gzip(CONTENT)),
        (Compression::Xz, xz(CONTENT)),
        (Compression::Bzip2, bzip2(CONTENT)),
        (Compression::Zstd, zstd::bulk::compress(CONTENT, 3).unwrap()),
    ] {
        assert_eq!(decode(compression, &whole).unwrap(), CONTENT);
        for length in 1..whole.len() {
            assert!(
                decode(compression, &whole[..length]).is_err(),
                "{compression} cut to {length}"
            );
        }
    }
}

#[test]
fn damage_is_an_error_and_no_panic() {
    for (compression, whole) in
        [(Compression::Xz, xz(CONTENT)), (Compression::Bzip2, bzip2(CONTENT))]
    {
        for at in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            // A bit that nothing depends on (bzip2 pads its last byte) may be flipped, content never.
            if let Ok(content) = decode(compression, &damaged) {
                assert_eq!(content, CONTENT, "{compression} with bit {at} flipped");
            }
        }
    }
}

#[test]
fn small_reads_change_nothing() {
    // Magics, headers and trailers that lie across two reads of the source.
    let frame = zstd::bulk::compress(CONTENT, 3).unwrap();
    for (compression, one) in [
        (Compression::Gzip, gzip(CONTENT)),
        (Compression::Zstd, frame),
        (Compression::Xz, xz(CONTENT)),
        (Compression::Bzip2, bzip2(CONTENT)),
    ] {
        let two = [&one[..], &one[..]].concat();
        for size in 1..9 {
            let source = BufReader::with_capacity(size, Cursor::new(&two));
            let mut content = Vec::new();
            decoder(compression, source).unwrap().read_to_end(&mut content).unwrap();
            assert_eq!(content, CONTENT.repeat(2), "{compression} in reads of {size}");
        }
    }
}

#[test]
fn refuses_an_enormous_xz_dictionary() {
    let with_dictionary = |bits: u8| {
        let mut stream = xz(CONTENT);
        // Stream header of 12 bytes; block header: size, flags, filter ID 0x21, size of properties, dictionary.
        assert_eq!(stream[14..16], [0x21, 1], "the filter is LZMA2");
        stream[16] = bits;
        let end = 12 + usize::from(stream[12]) * 4;
        let sum = lzma_crc32(&stream[12..end]);
        stream[end..end + 4].copy_from_slice(&sum.to_le_bytes());
        stream
    };
    // 64 MiB is `xz -9`; 40 stands for 4 GiB.
    assert_eq!(decode(Compression::Xz, &with_dictionary(28)).unwrap(), CONTENT);
    assert_eq!(decode(Compression::Xz, &with_dictionary(30)).unwrap(), CONTENT);
    for bits in [31, 32, 40, 41, 255] {
        assert!(decode(Compression::Xz, &with_dictionary(bits)).is_err(), "{bits}");
    }
}

/// The sum of xz's headers, bit by bit.
fn lzma_crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}
