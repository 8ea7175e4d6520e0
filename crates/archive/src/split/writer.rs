//! Writing a tar-split.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::ArchiveError;

use super::{FILE, SEGMENT};

/// Raw bytes of one segment entry at most; dockerd too cuts what follows the end mark at this.
const SEGMENT_SIZE: usize = 1 << 20;
/// JSON that is collected before it is compressed.
const BUFFER_SIZE: usize = 64 << 10;

/// Writes the entries of a tar-split, or nothing at all.
#[derive(Debug)]
pub(crate) struct SplitWriter<W: Write> {
    // `None` when nobody wants the tar-split.
    encoder: Option<GzEncoder<W>>,
    buffer: Vec<u8>,
    position: u64,
}

impl SplitWriter<io::Sink> {
    /// A writer that does no work.
    pub(crate) fn disabled() -> Self {
        Self { encoder: None, buffer: Vec::new(), position: 0 }
    }
}

impl<W: Write> SplitWriter<W> {
    pub(crate) fn new(sink: W) -> Self {
        // The headers are mostly zeros: the fastest level already takes away nearly all that can be.
        Self {
            encoder: Some(GzEncoder::new(sink, Compression::fast())),
            buffer: Vec::with_capacity(BUFFER_SIZE + 4096),
            position: 0,
        }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.encoder.is_some()
    }

    /// Adds raw bytes of the tar.
    pub(crate) fn segment(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        if self.encoder.is_none() {
            return Ok(());
        }
        for piece in bytes.chunks(SEGMENT_SIZE) {
            self.begin(SEGMENT);
            self.buffer.extend_from_slice(b",\"payload\":\"");
            push_base64(&mut self.buffer, piece);
            self.buffer.push(b'"');
            self.end()?;
        }
        Ok(())
    }

    /// Adds the place of a file's content, of which there is none where `checksum` is `None`.
    pub(crate) fn file(
        &mut self,
        name: &[u8],
        size: u64,
        checksum: Option<[u8; 8]>,
    ) -> Result<(), ArchiveError> {
        if self.encoder.is_none() {
            return Ok(());
        }
        self.begin(FILE);
        match std::str::from_utf8(name) {
            Ok("") => {}
            Ok(name) => {
                self.buffer.extend_from_slice(b",\"name\":\"");
                push_escaped(&mut self.buffer, name);
                self.buffer.push(b'"');
            }
            Err(_) => {
                self.buffer.extend_from_slice(b",\"name_raw\":\"");
                push_base64(&mut self.buffer, name);
                self.buffer.push(b'"');
            }
        }
        if size > 0 {
            self.buffer.extend_from_slice(b",\"size\":");
            push_number(&mut self.buffer, size);
        }
        match checksum {
            Some(checksum) => {
                self.buffer.extend_from_slice(b",\"payload\":\"");
                push_base64(&mut self.buffer, &checksum);
                self.buffer.push(b'"');
            }
            None => self.buffer.extend_from_slice(b",\"payload\":null"),
        }
        self.end()
    }

    /// Ends the gzip stream and flushes the sink.
    pub(crate) fn finish(mut self) -> Result<(), ArchiveError> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(()) };
        encoder.write_all(&self.buffer).map_err(ArchiveError::SplitWrite)?;
        let mut sink = encoder.finish().map_err(ArchiveError::SplitWrite)?;
        sink.flush().map_err(ArchiveError::SplitWrite)
    }

    fn begin(&mut self, kind: u8) {
        self.buffer.extend_from_slice(b"{\"type\":");
        self.buffer.push(b'0' + kind);
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        self.buffer.extend_from_slice(b",\"position\":");
        push_number(&mut self.buffer, self.position);
        self.buffer.extend_from_slice(b"}\n");
        self.position += 1;
        if self.buffer.len() >= BUFFER_SIZE {
            if let Some(encoder) = &mut self.encoder {
                encoder.write_all(&self.buffer).map_err(ArchiveError::SplitWrite)?;
            }
            self.buffer.clear();
            self.buffer.shrink_to(2 * BUFFER_SIZE);
        }
        Ok(())
    }
}

fn push_base64(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let start = buffer.len();
    buffer.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exact, so this cannot fail.
    let written = STANDARD.encode_slice(bytes, &mut buffer[start..]).unwrap_or(0);
    buffer.truncate(start + written);
}

fn push_number(buffer: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    buffer.extend_from_slice(&digits[start..]);
}

/// Escapes as Go's `encoding/json` does, which also escapes what is special in HTML.
fn push_escaped(buffer: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for character in text.chars() {
        match character {
            '"' | '\\' => buffer.extend_from_slice(&[b'\\', character as u8]),
            '\n' => buffer.extend_from_slice(b"\\n"),
            '\r' => buffer.extend_from_slice(b"\\r"),
            '\t' => buffer.extend_from_slice(b"\\t"),
            '\0'..' ' | '<' | '>' | '&' => {
                let byte = character as u8;
                buffer.extend_from_slice(b"\\u00");
                buffer.push(HEX[usize::from(byte >> 4)]);
                buffer.push(HEX[usize::from(byte & 15)]);
            }
            '\u{2028}' => buffer.extend_from_slice(b"\\u2028"),
            '\u{2029}' => buffer.extend_from_slice(b"\\u2029"),
            _ => buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::GzDecoder;

    use super::*;

    fn written(write: impl FnOnce(&mut SplitWriter<&mut Vec<u8>>)) -> String {
        let mut sink = Vec::new();
        let mut writer = SplitWriter::new(&mut sink);
        write(&mut writer);
        writer.finish().unwrap();
        let mut text = String::new();
        GzDecoder::new(&sink[..]).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn lines_are_dockerd_s() {
        let text = written(|writer| {
            writer.segment(b"raw").unwrap();
            writer.file(b"a/<b> \"\\\x01\n\xc3\xa9", 5, Some([0, 1, 2, 3, 4, 5, 6, 255])).unwrap();
            writer.file(b"\xff", 0, None).unwrap();
            writer.file(b"", 0, None).unwrap();
            writer.segment(b"").unwrap();
            writer.file("\u{2028}&".as_bytes(), 0, None).unwrap();
        });
        let expected = concat!(
            "{\"type\":2,\"payload\":\"cmF3\",\"position\":0}\n",
            "{\"type\":1,\"name\":\"a/\\u003cb\\u003e \\\"\\\\\\u0001\\n\u{e9}\",\"size\":5,",
            "\"payload\":\"AAECAwQFBv8=\",\"position\":1}\n",
            "{\"type\":1,\"name_raw\":\"/w==\",\"payload\":null,\"position\":2}\n",
            "{\"type\":1,\"payload\":null,\"position\":3}\n",
            "{\"type\":1,\"name\":\"\\u2028\\u0026\",\"payload\":null,\"position\":4}\n",
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn long_segments_are_cut() {
        let text = written(|writer| writer.segment(&vec![7; 2 * SEGMENT_SIZE + 1]).unwrap());
        assert_eq!(text.lines().count(), 3);
    }
}
