//! [`Chunks`] of a file, of which only what is looked at is read.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use crate::ArchiveError;
use crate::tar::Chunks;

/// Bytes that are read at once: a header and what is small behind it.
const BUFFER_SIZE: usize = 64 << 10;

/// A file as it was when this was made: what is added later plays no part.
pub(crate) struct InPlace<'a> {
    file: &'a File,
    size: u64,
    /// The place in the file behind what is in the buffer.
    end: u64,
    buffer: Vec<u8>,
    position: usize,
    filled: usize,
}

impl<'a> InPlace<'a> {
    pub(crate) fn new(file: &'a File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size, end: 0, buffer: vec![0; BUFFER_SIZE], position: 0, filled: 0 })
    }

    /// Reads once; 0 is the end.
    fn fill(&mut self) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.end).unwrap_or(usize::MAX);
        let length = left.min(self.buffer.len());
        loop {
            match self.file.read_at(&mut self.buffer[..length], self.end) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Chunks for InPlace<'_> {
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        if self.position == self.filled {
            (self.position, self.filled) = (0, 0);
            self.filled = self.fill().map_err(ArchiveError::Read)?;
            self.end += self.filled as u64;
        }
        Ok(&self.buffer[self.position..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }

    fn skip(&mut self, count: u64) -> Result<u64, ArchiveError> {
        let buffered = (self.filled - self.position) as u64;
        if let Some(beyond) = count.checked_sub(buffered) {
            (self.position, self.filled) = (0, 0);
            let beyond = beyond.min(self.size - self.end);
            self.end += beyond;
            return Ok(buffered + beyond);
        }
        // Less than what is in the buffer.
        self.position += usize::try_from(count).unwrap_or_default();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{TarEntry, TarWriter, read_entries_in_place};

    /// Content of which nothing is looked at, a little, and all; with sizes around that of the buffer.
    fn archive() -> (File, Vec<(String, Vec<u8>)>) {
        let sizes = [0, 1, 511, 512, BUFFER_SIZE - 512, BUFFER_SIZE, 3 * BUFFER_SIZE + 7, 5];
        let mut tar = TarWriter::new(Vec::new());
        let mut files = Vec::new();
        for (number, size) in sizes.into_iter().enumerate() {
            let name = format!("file-{number}");
            let content: Vec<u8> = (0..=250).cycle().take(size).collect();
            let entry = TarEntry { name: &name, mode: 0o644, modified: 0, size: size as u64 };
            tar.start(&entry).unwrap();
            tar.write_content(&content).unwrap();
            files.push((name, content));
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&tar.finish().unwrap()).unwrap();
        (file, files)
    }

    #[test]
    fn entries_are_where_they_say_whether_they_are_read_or_not() {
        let (file, files) = archive();
        for is_read in [false, true] {
            let mut found = Vec::new();
            read_entries_in_place(&file, 0, |entry, content| {
                let mut whole = vec![0; usize::try_from(entry.size).unwrap()];
                file.read_exact_at(&mut whole, content.start().unwrap()).unwrap();
                if is_read {
                    let mut seen = Vec::new();
                    content.copy(|piece| {
                        seen.extend_from_slice(piece);
                        Ok::<_, ArchiveError>(())
                    })?;
                    assert!(seen == whole);
                }
                found.push((String::from_utf8(entry.path).unwrap(), whole));
                Ok::<_, ArchiveError>(())
            })
            .unwrap();
            assert!(found == files, "read: {is_read}");
        }
    }

    /// Bytes that are not looked at are missed all the same.
    #[test]
    fn a_file_that_ends_within_content_is_cut_off() {
        let (file, _) = archive();
        let mut places = Vec::new();
        read_entries_in_place(&file, 0, |entry, content| {
            places.push((content.start().unwrap(), entry.size));
            Ok::<_, ArchiveError>(())
        })
        .unwrap();
        for (start, size) in places.into_iter().rev().filter(|(_, size)| *size > 0) {
            file.set_len(start + size - 1).unwrap();
            let read = read_entries_in_place(&file, 0, |_, _| Ok::<_, ArchiveError>(()));
            assert!(matches!(read, Err(ArchiveError::Truncated { .. })), "{size}: {read:?}");
        }
    }
}
