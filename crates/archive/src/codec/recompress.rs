//! A layer in another compression.
//!
//! The output depends on the tar and the encoding alone: not on threads, nor on how the input is cut. zstd therefore has one thread:
//! its own would cut the input in another way.

use std::io::{self, Read, Write};

use spec::DiffId;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::gzip::GzipEncoder;
use crate::ArchiveError;
use crate::rebuild::decompress;

/// The largest tar that is compressed anew: no layer is this large, but a hostile one of some megabytes may stand for more.
const MAX_TAR: u64 = 1 << 40;

/// A compression to write, and its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// libdeflate's level, 1 to 9.
    Gzip(u8),
    /// zstd's level, 1 to 19: those above need more memory than readers have to allow.
    Zstd(u8),
}

/// Decompresses all of `source`, whatever it is compressed by, and compresses it into `sink`. Returns the diff ID, which the caller
/// compares.
pub fn recompress<R: Read + Send, W: Write>(
    source: R,
    sink: W,
    encoding: Encoding,
    threads: usize,
) -> Result<DiffId, ArchiveError> {
    match encoding {
        Encoding::Gzip(level) => {
            let encoder = GzipEncoder::new(sink, level, threads);
            let mut encoder = Bounded::new(encoder.map_err(ArchiveError::Sink)?);
            let diff_id = decompress(source, &mut encoder)?;
            encoder.inner.finish().map_err(ArchiveError::Sink)?;
            Ok(diff_id)
        }
        Encoding::Zstd(level) => {
            let encoder = ZstdEncoder::new(sink, level.into()).and_then(|mut encoder| {
                encoder.include_checksum(true)?;
                Ok(encoder)
            });
            let mut encoder = Bounded::new(encoder.map_err(ArchiveError::Sink)?);
            let diff_id = decompress(source, &mut encoder)?;
            let sink = encoder.inner.finish().and_then(|mut sink| sink.flush());
            sink.map_err(ArchiveError::Sink)?;
            Ok(diff_id)
        }
    }
}

/// An encoder that takes as much as a layer may have. It is flushed once, at its end: a flush before is part of the bytes.
struct Bounded<W> {
    inner: W,
    left: u64,
}

impl<W> Bounded<W> {
    fn new(inner: W) -> Self {
        Self { inner, left: MAX_TAR }
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        let left = self.left.checked_sub(written as u64);
        self.left = left.ok_or_else(|| {
            io::Error::other(format!("the layer has more than {MAX_TAR} bytes when decompressed"))
        })?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use spec::Digest;

    use super::super::{Compression, compress_gzip, decoder};
    use super::*;

    /// Hands out as much at a time as a bad network does.
    struct Cut<'a>(&'a [u8], usize);

    impl Read for Cut<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1;
            let most = size.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn content() -> Vec<u8> {
        let lines = (0_u32..200_000).map(|line| format!("{} ", line.wrapping_mul(2_654_435_761)));
        lines.collect::<String>().into_bytes()
    }

    #[test]
    fn the_same_tar_gives_the_same_bytes_however_it_comes() {
        let content = content();
        let gzip = compress_gzip(&content[..], Vec::new(), 1, 1).unwrap();
        let diff_id = DiffId::new(Digest::sha256(&content));
        for (encoding, compression) in
            [(Encoding::Gzip(6), Compression::Gzip), (Encoding::Zstd(3), Compression::Zstd)]
        {
            let mut first: Option<Vec<u8>> = None;
            for (source, size, threads) in
                [(&content, 7_777, 1), (&gzip, 1 << 20, 3), (&gzip, 999, 2)]
            {
                let mut made = Vec::new();
                let found = recompress(Cut(source, size), &mut made, encoding, threads).unwrap();
                assert_eq!(found, diff_id);
                assert!(first.get_or_insert_with(|| made.clone()) == &made, "{encoding:?}");
            }
            let made = first.unwrap();
            assert_eq!(Compression::detect(&made), compression);
            let mut back = Vec::new();
            let source = BufReader::new(Cursor::new(made));
            decoder(compression, source).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == content);
        }
    }

    #[test]
    fn what_is_damaged_or_without_end_is_an_error() {
        let content = content();
        let gzip = compress_gzip(&content[..], Vec::new(), 1, 1).unwrap();
        let cut = &gzip[..gzip.len() / 2];
        assert!(recompress(cut, Vec::new(), Encoding::Zstd(1), 1).is_err());
        let mut bounded = Bounded { inner: io::sink(), left: 10 };
        bounded.write_all(&[0; 10]).unwrap();
        let error = bounded.write_all(&[0]).unwrap_err().to_string();
        assert!(error.contains("when decompressed"), "{error}");
    }
}
