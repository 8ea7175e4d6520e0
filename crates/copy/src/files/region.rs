//! A part of a file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use super::blocking::blocking;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// A part of a file. Several readers share the file: each has a place of its own.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) file: Arc<File>,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

impl Region {
    /// Reads all of it; nothing if it is larger than `max`. Blocking.
    pub(crate) fn read(&self, max: u64) -> io::Result<Option<Bytes>> {
        if self.size > max {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, self.start)?;
        Ok(Some(bytes.into()))
    }

    /// Returns the bytes from a place on, in pieces.
    pub(crate) fn stream(self, from: u64) -> BoxStream<'static, io::Result<Bytes>> {
        stream::try_unfold((self, from), |(region, place)| async move {
            let left = region.size.saturating_sub(place);
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            if length == 0 {
                return Ok(None);
            }
            let (file, at) = (Arc::clone(&region.file), region.start + place);
            let piece = blocking(move || {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, at)?;
                Ok::<_, io::Error>(Bytes::from(piece))
            });
            let piece = piece.await?;
            let place = place + piece.len() as u64;
            Ok(Some((piece, (region, place))))
        })
        .boxed()
    }

    /// Returns a reader of all of it. Blocking.
    pub(crate) fn reader(&self) -> Reader {
        Reader { region: self.clone(), place: 0 }
    }
}

/// Reads a region from its beginning.
#[derive(Debug)]
pub(crate) struct Reader {
    region: Region,
    place: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.region.size - self.place).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read =
            self.region.file.read_at(&mut buffer[..length], self.region.start + self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}
