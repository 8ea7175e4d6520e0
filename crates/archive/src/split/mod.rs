//! The tar-split of a layer: what is needed beside the unpacked files to rebuild its tar to the byte.
//!
//! The format is that of `github.com/vbatts/tar-split`, which dockerd keeps as `tar-split.json.gz`: gzipped JSON, a line
//! an entry. Segments (type 2) are raw bytes of the tar: headers, padding, the end mark and what follows it. Files
//! (type 1) stand for content that is in the layer's directory, with its size and CRC-64 (Go's ISO table, big-endian).
//! The tar is the entries' bytes in their order.
//!
//! Content that is not on the disk as it was in the tar (sparse files, data of whiteouts, files that a later entry of the layer
//! replaced) is kept in segments, and files are named by their paths without symlinks, so that those tars too can be rebuilt, by
//! dockerd as well; dockerd itself writes a tar-split that it cannot rebuild then.

mod reader;
mod settle;
mod writer;

pub(crate) use reader::{SplitEntry, SplitReader};
pub(crate) use settle::settle;
pub(crate) use writer::SplitWriter;

/// `type` of a file entry.
const FILE: u8 = 1;
/// `type` of a segment entry.
const SEGMENT: u8 = 2;

/// The checksum of file content: CRC-64 as Go's `hash/crc64` has it for its ISO polynomial.
#[derive(Debug)]
pub(crate) struct Checksum(crc_fast::Digest);

impl Checksum {
    pub(crate) fn new() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64GoIso))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> [u8; 8] {
        self.0.finalize().to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_go_s() {
        // The first three are of Go's own tests, the last is the check value of the CRC catalogues.
        let cases: &[(&[u8], u64)] = &[
            (b"", 0),
            (b"a", 0x3420_0000_0000_0000),
            (b"ab", 0x36c4_2000_0000_0000),
            (b"123456789", 0xb909_56c7_75a4_1001),
        ];
        for (bytes, expected) in cases {
            let mut checksum = Checksum::new();
            checksum.update(bytes);
            assert_eq!(checksum.finish(), expected.to_be_bytes(), "{}", bytes.escape_ascii());
        }
    }
}
