//! The compressions that a layer may come in, and gzip for the layers that go out.
//!
//! Decoders read to the end of their source: a gzip stream may have several members and a zstd stream several frames,
//! and bytes after the last one that start no further one are an error, as in Go's `compress/gzip`, zeros included.
//!
//! # Limits
//! A zstd frame may ask for a window of at most 128 MiB ([`ZSTD_WINDOW_LOG`]): what `zstd --ultra -22` makes by default.

mod gzip;

use std::fmt;
use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use crate::ArchiveError;

pub use gzip::{GzipEncoder, compress_gzip};

/// The largest zstd window, as a power of two: 128 MiB, the limit of the `zstd` tool without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a layer's bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Compression {
    /// Recognises the compression by the stream's first bytes; four of them are enough.
    pub fn detect(prefix: &[u8]) -> Self {
        match prefix {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, which `pzstd` and zstd:chunked put first.
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Returns a reader of the uncompressed bytes of `source`, which should have a buffer of 128 KiB or more.
pub fn decoder<'a, R: BufRead + Send + 'a>(
    compression: Compression,
    source: R,
) -> Result<Box<dyn Read + Send + 'a>, ArchiveError> {
    Ok(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let open = || {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            };
            Box::new(open().map_err(|source| ArchiveError::Decompress { compression, source })?)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(compression: Compression, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decoder(compression, Cursor::new(bytes)).unwrap().read_to_end(&mut content)?;
        Ok(content)
    }

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
    }

    #[test]
    fn refuses_what_follows_or_is_missing() {
        let whole = gzip(b"content that is long enough to be cut");
        let frame = zstd::bulk::compress(b"content that is long enough to be cut", 3).unwrap();
        let mut flipped = whole.clone();
        let crc = flipped.len() - 6;
        flipped[crc] ^= 1;
        let cases = [
            (Compression::Gzip, [&whole[..], b"garbage"].concat(), "garbage after gzip"),
            (Compression::Gzip, [&whole[..], &[0; 512]].concat(), "zeros after gzip"),
            (Compression::Gzip, whole[..whole.len() - 1].to_vec(), "cut gzip trailer"),
            (Compression::Gzip, whole[..whole.len() - 12].to_vec(), "cut gzip body"),
            (Compression::Gzip, flipped, "wrong crc"),
            (Compression::Zstd, [&frame[..], b"garbage"].concat(), "garbage after zstd"),
            (Compression::Zstd, frame[..frame.len() - 1].to_vec(), "cut zstd"),
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
}
