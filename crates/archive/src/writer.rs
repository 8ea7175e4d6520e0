//! Writing a tar of plain files and directories, as Go's `archive/tar` writes it for dockerd.

use std::io::{self, Write};

use crate::tar::BLOCK_SIZE;

/// The longest name that fits into a header without extensions, in bytes.
const MAX_PLAIN_NAME: usize = 100;
/// The longest name: those of blobs have 141 bytes at most.
const MAX_NAME: usize = 255;
/// The end of the numbers of a header field: they have a NUL behind them.
const MAX_OCTAL_12: u64 = 0o777_7777_7777;

/// Writes a tar, entry by entry. All entries belong to root.
#[derive(Debug)]
pub struct TarWriter<W> {
    sink: W,
    /// Content of the current file that is still to come.
    left: u64,
    padding: usize,
}

/// The facts of a file or directory that its header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TarEntry<'a> {
    /// Its name: at most 255 bytes; a directory's ends with a slash.
    pub name: &'a str,
    /// Permissions.
    pub mode: u32,
    /// Seconds since 1970. What a header cannot hold becomes 0, as in dockerd.
    pub modified: i64,
    /// Bytes that follow.
    pub size: u64,
}

impl<W: Write> TarWriter<W> {
    /// Starts a tar.
    pub fn new(sink: W) -> Self {
        Self { sink, left: 0, padding: 0 }
    }

    /// Writes a header; [`write_content`](Self::write_content) must give exactly as many bytes as it says.
    pub fn start(&mut self, entry: &TarEntry<'_>) -> io::Result<()> {
        self.end()?;
        if entry.name.len() > MAX_PLAIN_NAME {
            self.sink.write_all(&long_name(entry.name)?)?;
        }
        self.sink.write_all(&header(entry))?;
        self.left = entry.size;
        self.padding = usize::try_from(entry.size.wrapping_neg() % BLOCK_SIZE as u64).unwrap_or(0);
        Ok(())
    }

    /// Writes a piece of the current file.
    pub fn write_content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            io::Error::other("a file in the archive has more bytes than its header says")
        })?;
        self.sink.write_all(bytes)
    }

    /// Writes the end mark and gives the sink back.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        self.sink.write_all(&[0; 2 * BLOCK_SIZE])?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.left > 0 {
            let message = "a file in the archive has fewer bytes than its header says";
            return Err(io::Error::other(message));
        }
        let padding = std::mem::take(&mut self.padding);
        self.sink.write_all(&[0; BLOCK_SIZE][..padding])
    }
}

impl<W: Write> Write for TarWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_content(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Makes the blocks that stand before a header whose name is longer than it has room for: a PAX header, as Go makes it of names that cannot
/// be split.
fn long_name(name: &str) -> io::Result<Vec<u8>> {
    if name.len() > MAX_NAME {
        return Err(io::Error::other(format!("`{name}` is too long for a tar")));
    }
    // The number counts its own digits, too: three, for names of this length.
    let record = format!("{} path={name}\n", name.len() + "123 path=\n".len());
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let place = format!("{folder}/PaxHeaders.0/{file}");
    let entry = TarEntry { name: &place, mode: 0o644, modified: 0, size: record.len() as u64 };
    let mut blocks = header(&entry).to_vec();
    blocks[156] = b'x';
    seal(&mut blocks);
    blocks.extend(record.as_bytes());
    blocks.resize(blocks.len().next_multiple_of(BLOCK_SIZE), 0);
    Ok(blocks)
}

fn header(entry: &TarEntry<'_>) -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    let length = entry.name.len().min(MAX_PLAIN_NAME);
    block[..length].copy_from_slice(&entry.name.as_bytes()[..length]);
    octal(&mut block[100..108], entry.mode.into());
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    if entry.size <= MAX_OCTAL_12 {
        octal(&mut block[124..136], entry.size);
    } else {
        // GNU's binary form, which every reader knows.
        block[124] = 0x80;
        block[128..136].copy_from_slice(&entry.size.to_be_bytes());
    }
    let modified = u64::try_from(entry.modified).ok().filter(|time| *time <= MAX_OCTAL_12);
    octal(&mut block[136..148], modified.unwrap_or(0));
    block[156] = if entry.name.ends_with('/') { b'5' } else { b'0' };
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], 0);
    octal(&mut block[337..345], 0);
    seal(&mut block);
    block
}

/// Writes the sum of a header into it.
fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().copied().map(u64::from).sum();
    octal(&mut block[148..155], sum);
}

/// Fills a field with digits and a NUL.
fn octal(field: &mut [u8], number: u64) {
    let digits = format!("{number:0width$o}", width = field.len() - 1);
    field[..digits.len()].copy_from_slice(digits.as_bytes());
    field[digits.len()] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size: u64) -> TarEntry<'_> {
        TarEntry { name, mode: 0o644, modified: 1_700_000_000, size }
    }

    /// From `docker save` of dockerd 20.10, less what 29 leaves out: the file type in the mode, and owners' names.
    #[test]
    fn a_header_is_gos() {
        let block = header(&TarEntry { modified: 0, ..entry("manifest.json", 194) });
        let mut expected = [0; BLOCK_SIZE];
        expected[..13].copy_from_slice(b"manifest.json");
        expected[100..148]
            .copy_from_slice(b"0000644\x000000000\x000000000\x0000000000302\x0000000000000\x00");
        expected[148..157].copy_from_slice(b"011701\0 0");
        expected[257..265].copy_from_slice(b"ustar\x0000");
        expected[329..345].copy_from_slice(b"0000000\x000000000\x00");
        assert_eq!(block.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn sizes_must_be_true() {
        let mut tar = TarWriter::new(Vec::new());
        tar.start(&entry("a", 3)).unwrap();
        assert!(tar.write_content(b"1234").is_err());
        tar.write_content(b"12").unwrap();
        assert!(tar.start(&entry("b", 0)).is_err());
        tar.write_content(b"3").unwrap();
        tar.start(&entry("b/", 0)).unwrap();
        assert_eq!(tar.finish().unwrap().len(), 5 * BLOCK_SIZE);
    }

    /// Read back by our own reader, which takes what Go writes.
    #[test]
    fn long_names_stand_in_a_header_of_their_own() {
        let names: Vec<String> = [100, 101, 141, 255]
            .map(|length| format!("blobs/sha512/{}", "a".repeat(length - 13)))
            .into();
        let mut tar = TarWriter::new(Vec::new());
        for name in &names {
            tar.start(&entry(name, 3)).unwrap();
            tar.write_content(b"abc").unwrap();
        }
        let bytes = tar.finish().unwrap();
        let mut read = Vec::new();
        crate::read_entries(&*bytes, u64::MAX, |found, content| {
            let mut text = Vec::new();
            content.copy(|piece| {
                text.extend_from_slice(piece);
                Ok::<_, crate::ArchiveError>(())
            })?;
            assert_eq!(text, b"abc");
            read.push(String::from_utf8(found.path).unwrap());
            Ok::<_, crate::ArchiveError>(())
        })
        .unwrap();
        assert_eq!(read, names);
        // Only what needs one has one.
        assert_eq!(bytes.len(), (4 * 2 + 3 * 2 + 2) * BLOCK_SIZE);
    }

    #[test]
    fn what_does_not_fit_is_refused_or_marked() {
        let long = "n".repeat(MAX_NAME + 1);
        assert!(TarWriter::new(Vec::new()).start(&entry(&long, 0)).is_err());
        let block = header(&entry("large", 1 << 33));
        assert_eq!(block[124..136], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        for modified in [-1, 1 << 33] {
            let block = header(&TarEntry { modified, ..entry("old", 0) });
            assert_eq!(&block[136..147], b"00000000000");
        }
    }
}
