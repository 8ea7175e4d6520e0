//! A decoder for bodies that are a sequence of JSON objects.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::ApiError;

/// The largest value of a stream that is kept: progress lines and events are a few hundred bytes, build output lines
/// and error texts with a registry's answer some kilobytes.
pub const MAX_VALUE_SIZE: usize = 1024 * 1024;

/// Cuts a stream of bytes into JSON objects, however the chunks fall.
///
/// Between two objects there may be nothing, CR, LF, blanks or the record separator of RFC 7464: daemons, proxies and
/// their versions differ. What is kept is bounded by [`MAX_VALUE_SIZE`], and every byte is looked at once to find an
/// object's end, so that a peer that sends one byte at a time costs no more than another.
#[derive(Debug)]
pub struct JsonStream<T> {
    buffer: Vec<u8>,
    /// Up to here the buffer has been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Default for JsonStream<T> {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            value: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> JsonStream<T> {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what arrived. Call [`JsonStream::next_value`] until it has no more, then push again.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete value, or `None` when more bytes are needed. After an error the stream is of no more use.
    pub fn next_value(&mut self) -> Result<Option<T>, ApiError> {
        if self.depth == 0 {
            self.skip_separators()?;
        }
        while let Some(&byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            if self.step(byte) {
                let value = serde_json::from_slice(&self.buffer[..self.scanned]);
                self.buffer.drain(..self.scanned);
                self.scanned = 0;
                return value.map(Some).map_err(ApiError::StreamValue);
            }
            if self.scanned > MAX_VALUE_SIZE {
                return Err(ApiError::StreamValueTooLarge(MAX_VALUE_SIZE));
            }
        }
        Ok(None)
    }

    /// Says whether the stream may end here: an error when it ends inside a value.
    pub fn finish(&mut self) -> Result<(), ApiError> {
        if self.depth == 0 {
            self.skip_separators()?;
        }
        if self.buffer.is_empty() { Ok(()) } else { Err(ApiError::StreamEnd) }
    }

    /// Follows one byte of an object; true when it closes the object.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }

    /// Drops what may stand between two objects.
    fn skip_separators(&mut self) -> Result<(), ApiError> {
        const RECORD_SEPARATOR: u8 = 0x1e;
        let separator =
            |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | &RECORD_SEPARATOR);
        let start =
            self.buffer.iter().position(|byte| !separator(byte)).unwrap_or(self.buffer.len());
        self.buffer.drain(..start);
        match self.buffer.first() {
            None | Some(b'{') => Ok(()),
            Some(_) => Err(ApiError::StreamSyntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    /// Everything that comes out when `input` arrives in chunks of `size`.
    fn decode(input: &[u8], size: usize) -> Result<Vec<Message>, ApiError> {
        let mut stream = JsonStream::new();
        let mut values = Vec::new();
        for chunk in input.chunks(size) {
            stream.push(chunk);
            while let Some(value) = stream.next_value()? {
                values.push(value);
            }
        }
        stream.finish()?;
        Ok(values)
    }

    #[test]
    fn however_the_chunks_fall_the_values_are_the_same() {
        let input = concat!(
            "\r\n{\"status\":\"a\"}\r\n{\"status\":\"}\\\"{\"}{\"status\":\"ü\",\"progressDetail\":{\"current\":1}}",
            "\n\n \x1e{\"aux\":{\"x\":[1,{}]}}\n{}\r\n",
        );
        let whole = decode(input.as_bytes(), input.len()).unwrap();
        let statuses: Vec<_> = whole.iter().map(|message| message.status.as_deref()).collect();
        assert_eq!(statuses, [Some("a"), Some("}\"{"), Some("ü"), None, None]);
        for size in 1..input.len() {
            assert_eq!(decode(input.as_bytes(), size).unwrap(), whole, "chunks of {size}");
        }
    }

    #[test]
    fn hostile_streams_end_in_an_error() {
        let table: [(&[u8], &str); 8] = [
            (b"<html>", "not a sequence"),
            (b"{\"status\":\"a\"} null", "not a sequence"),
            (b"[{}]", "not a sequence"),
            (b"}", "not a sequence"),
            (b"{\"status\":1}", "unexpected value"),
            (b"{\"status\":\"\xff\"}", "unexpected value"),
            (b"{]", "unexpected EOF"),
            (b"{\"status\":\"a\"", "unexpected EOF"),
        ];
        for (input, expected) in table {
            for size in [1, 3, 64] {
                let error = decode(input, size).expect_err("an error").to_string();
                // Brackets that do not match are found when the object is parsed.
                assert!(error.contains(expected) || input == b"{]", "{input:?}: {error}");
            }
        }
    }

    #[test]
    fn a_value_without_end_is_bounded() {
        let mut stream = JsonStream::<Message>::new();
        stream.push(b"{\"status\":\"");
        let chunk = vec![b'x'; 64 * 1024];
        let mut pushed = 0;
        let error = loop {
            stream.push(&chunk);
            pushed += chunk.len();
            match stream.next_value() {
                Ok(None) => assert!(pushed <= MAX_VALUE_SIZE + chunk.len(), "kept {pushed} bytes"),
                Ok(Some(_)) => panic!("half a value came out"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ApiError::StreamValueTooLarge(_)));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        let deep = format!("{{\"aux\":{}", "[".repeat(100_000)) + &"]".repeat(100_000) + "}";
        assert!(matches!(decode(deep.as_bytes(), 4096), Err(ApiError::StreamValue(_))));
    }
}
