//! Compressed streams one after the other, and what follows the last of them.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::compression::Compression;

/// The largest zstd window, as a power of two: 128 MiB, the limit of the `zstd` tool without `--long`.
pub(super) const ZSTD_WINDOW_LOG: u32 = 27;

/// The most memory for an xz stream: a dictionary of 128 MiB and what the decoder has beside it.
pub(super) const XZ_MEMORY_KIB: u32 = (128 << 10) + 1024;

/// The number of bytes that tell what follows a stream.
const PREFIX: usize = 10;

/// A source of which the next few bytes can be looked at, however its buffer is cut.
struct Ahead<R> {
    source: R,
    held: [u8; PREFIX],
    start: usize,
    end: usize,
}

impl<R: BufRead> Ahead<R> {
    fn new(source: R) -> Self {
        Self { source, held: [0; PREFIX], start: 0, end: 0 }
    }

    /// Returns the next bytes, fewer only at the end of the source.
    fn peek(&mut self) -> io::Result<&[u8]> {
        self.held.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < PREFIX {
            let bytes = self.source.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let length = bytes.len().min(PREFIX - self.end);
            self.held[self.end..self.end + length].copy_from_slice(&bytes[..length]);
            self.source.consume(length);
            self.end += length;
        }
        Ok(&self.held[..self.end])
    }

    fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.fill_buf()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let is_all = zeros == bytes.len();
            self.consume(zeros);
            if !is_all || zeros == 0 {
                return Ok(());
            }
        }
    }

    fn skip_all(&mut self) -> io::Result<()> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
        }
    }

    /// Reads to the next stream of a compression; to the end if none follows.
    fn next_stream(&mut self, compression: Compression) -> io::Result<bool> {
        if compression == Compression::Xz {
            self.skip_zeros()?;
        }
        let follows = Compression::detect(self.peek()?) == compression;
        if !follows {
            self.skip_all()?;
        }
        Ok(follows)
    }
}

impl<R: BufRead> Read for Ahead<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            return self.source.read(target);
        }
        let length = target.len().min(self.end - self.start);
        target[..length].copy_from_slice(&self.held[self.start..self.start + length]);
        self.start += length;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Ahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            return self.source.fill_buf();
        }
        Ok(&self.held[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        if self.start == self.end {
            self.source.consume(count);
        } else {
            self.start += count;
        }
    }
}

/// Streams of gzip, xz or bzip2.
pub(super) struct Streams<R: BufRead> {
    compression: Compression,
    state: State<R>,
}

enum State<R: BufRead> {
    Within(One<R>),
    Between(Ahead<R>),
    Ended,
}

/// One stream.
enum One<R: BufRead> {
    Gzip(Box<GzDecoder<Ahead<R>>>),
    Xz(Box<XzReader<Ahead<R>>>),
    Bzip2(BzDecoder<Ahead<R>>),
}

impl<R: BufRead> One<R> {
    fn new(compression: Compression, source: Ahead<R>) -> Self {
        match compression {
            Compression::Xz => {
                Self::Xz(Box::new(XzReader::new_mem_limit(source, false, XZ_MEMORY_KIB)))
            }
            Compression::Bzip2 => Self::Bzip2(BzDecoder::new(source)),
            _ => Self::Gzip(Box::new(GzDecoder::new(source))),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
            Self::Bzip2(decoder) => decoder.read(buffer),
        }
    }

    fn into_source(self) -> Ahead<R> {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Xz(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Streams<R> {
    /// Begins with the first stream, whatever the source begins with.
    pub(super) fn new(compression: Compression, source: R) -> Self {
        let first = One::new(compression, Ahead::new(source));
        Self { compression, state: State::Within(first) }
    }
}

impl<R: BufRead> Read for Streams<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let follows = match &mut self.state {
                State::Within(one) => match one.read(buffer)? {
                    0 => false,
                    length => return Ok(length),
                },
                State::Between(source) => source.next_stream(self.compression)?,
                State::Ended => return Ok(0),
            };
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Within(one) => State::Between(one.into_source()),
                State::Between(source) if follows => {
                    State::Within(One::new(self.compression, source))
                }
                State::Between(_) | State::Ended => State::Ended,
            };
        }
    }
}

/// Frames of Zstandard, all by one decoder: some archives have one for each file.
pub(super) struct Frames<R> {
    source: Ahead<R>,
    decoder: Decoder<'static>,
    state: FramesState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FramesState {
    Within,
    Between,
    Ended,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self { source: Ahead::new(source), decoder, state: FramesState::Within })
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                FramesState::Ended => return Ok(0),
                FramesState::Between => {
                    let follows = self.source.next_stream(Compression::Zstd)?;
                    self.state = if follows { FramesState::Within } else { FramesState::Ended };
                    continue;
                }
                FramesState::Within => {}
            }
            let input = self.source.fill_buf()?;
            let at_end = input.is_empty();
            let status = self.decoder.run_on_buffers(input, buffer)?;
            self.source.consume(status.bytes_read);
            if status.remaining == 0 {
                self.state = FramesState::Between;
            }
            if status.bytes_written > 0 {
                return Ok(status.bytes_written);
            }
            if at_end && self.state == FramesState::Within {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "incomplete frame"));
            }
        }
    }
}
