//! A tar writer that writes what it is told: names that climb out, links to nowhere, whatever a
//! test needs. It shares no code with the reader under test.
//!
//! Headers are ustar. What does not fit there goes into a PAX header before it, or, where
//! [`Entry::gnu`] asks for it, into GNU's `L` and `K` entries.

mod record;
mod sparse;

use std::io::{self, Read, Write};

use record::{BLOCK, push_record};
pub use sparse::PaxSparse;
use sparse::{push_sparse, sparse_map};

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder for entries.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
    /// A hard link to the entry of this path.
    HardLink(String),
    /// A named pipe.
    Fifo,
    /// A character device with its major and minor number.
    CharDevice(u32, u32),
    /// A block device with its major and minor number.
    BlockDevice(u32, u32),
    /// A regular file of this size that is empty but for the given pieces (offset and content):
    /// at most four of them, in GNU's old format unless [`Entry::sparse_as`] says otherwise. All but the last are whole blocks
    /// of 512 bytes.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
}

/// One entry of an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    path: String,
    kind: Kind,
    content: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, u32),
    xattrs: Vec<(String, Vec<u8>)>,
    gnu: bool,
    sparse: Option<PaxSparse>,
}

impl Entry {
    fn new(path: impl Into<String>, kind: Kind, mode: u32) -> Entry {
        Entry {
            path: path.into(),
            kind,
            content: Vec::new(),
            mode,
            owner: (0, 0),
            modified: (1_700_000_000, 0),
            xattrs: Vec::new(),
            gnu: false,
            sparse: None,
        }
    }

    /// An entry of any kind with mode 0644.
    pub fn of(path: impl Into<String>, kind: Kind) -> Entry {
        Entry::new(path, kind, 0o644)
    }

    /// A regular file, mode 0644.
    pub fn file(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Entry {
        Entry { content: content.into(), ..Entry::new(path, Kind::File, 0o644) }
    }

    /// A directory, mode 0755.
    pub fn directory(path: impl Into<String>) -> Entry {
        Entry::new(path, Kind::Directory, 0o755)
    }

    /// A symbolic link.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>) -> Entry {
        Entry::new(path, Kind::Symlink(target.into()), 0o777)
    }

    /// A hard link to an earlier entry.
    pub fn hard_link(path: impl Into<String>, target: impl Into<String>) -> Entry {
        Entry::new(path, Kind::HardLink(target.into()), 0o644)
    }

    /// The mark that `path` of a lower layer is gone.
    pub fn whiteout(path: &str) -> Entry {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let separator = if parent.is_empty() { "" } else { "/" };
        Entry::new(format!("{parent}{separator}.wh.{name}"), Kind::File, 0o644)
    }

    /// The mark that nothing of a lower layer's `directory` shows through.
    pub fn opaque(directory: &str) -> Entry {
        Entry::new(format!("{}/.wh..wh..opq", directory.trim_end_matches('/')), Kind::File, 0o644)
    }

    /// Sets the mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Entry {
        self.mode = mode;
        self
    }

    /// Sets the numbers of user and group.
    #[must_use]
    pub fn owner(mut self, user: u32, group: u32) -> Entry {
        self.owner = (user, group);
        self
    }

    /// Sets the time of modification, in seconds since 1970 and nanoseconds.
    #[must_use]
    pub fn modified(mut self, seconds: i64, nanoseconds: u32) -> Entry {
        self.modified = (seconds, nanoseconds);
        self
    }

    /// Adds an extended attribute.
    #[must_use]
    pub fn xattr(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Entry {
        self.xattrs.push((name.into(), value.into()));
        self
    }

    /// Writes long names as GNU tar does, instead of in a PAX header.
    #[must_use]
    pub fn gnu(mut self) -> Entry {
        self.gnu = true;
        self
    }

    /// Tells the holes of a sparse file in a PAX header. It must not be [`gnu`](Self::gnu).
    #[must_use]
    pub fn sparse_as(mut self, form: PaxSparse) -> Entry {
        self.sparse = Some(form);
        self
    }

    fn type_flag(&self) -> u8 {
        match self.kind {
            Kind::Sparse(..) if self.sparse.is_some() => b'0',
            Kind::File => b'0',
            Kind::HardLink(_) => b'1',
            Kind::Symlink(_) => b'2',
            Kind::CharDevice(..) => b'3',
            Kind::BlockDevice(..) => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::Sparse(..) => b'S',
        }
    }

    fn target(&self) -> &str {
        match &self.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => target,
            _ => "",
        }
    }

    fn devices(&self) -> (u32, u32) {
        match self.kind {
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => (major, minor),
            _ => (0, 0),
        }
    }

    /// The path as tools write it: a directory's ends in a slash.
    fn stored_path(&self) -> String {
        match self.kind {
            Kind::Directory if !self.path.ends_with('/') => format!("{}/", self.path),
            _ => self.path.clone(),
        }
    }
}

/// Writes a tar.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn new(sink: W) -> Writer<W> {
        Writer { sink }
    }

    /// Adds an entry with the content that it holds.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let content = match &entry.kind {
            Kind::Sparse(_, pieces) => {
                let mut content = sparse_map(entry.sparse, pieces);
                content.extend(pieces.iter().flat_map(|(_, piece)| piece));
                content
            }
            _ => entry.content.clone(),
        };
        self.append_from(entry, &content[..], content.len() as u64)
    }

    /// Adds an entry with `size` bytes from `content`. A source that ends early, a file of the
    /// machine that has just shrunk, is filled up with zeros.
    pub fn append_from(&mut self, entry: &Entry, content: impl Read, size: u64) -> io::Result<()> {
        self.write_extensions(entry)?;
        let header = header(entry, size);
        self.sink.write_all(&header)?;
        let copied = io::copy(&mut content.take(size), &mut self.sink)?;
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        io::copy(&mut io::repeat(0).take(size - copied + padding), &mut self.sink)?;
        Ok(())
    }

    /// Adds bytes as they are: a header made by hand, say.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)
    }

    /// Adds a global PAX header of the name, with records.
    pub fn global(&mut self, name: &str, records: &[(&str, &str)]) -> io::Result<()> {
        let mut content = Vec::new();
        for (key, value) in records {
            push_record(&mut content, key, value.as_bytes());
        }
        self.write_extension(name, b'g', &content)
    }

    /// Ends the archive with two empty blocks and returns the sink.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.sink)
    }

    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.sink.write_all(&[0; 2 * BLOCK])
    }

    pub(crate) fn into_sink(self) -> W {
        self.sink
    }

    fn write_extensions(&mut self, entry: &Entry) -> io::Result<()> {
        let (path, target) = (entry.stored_path(), entry.target());
        if entry.gnu {
            for (flag, text) in [(b'K', target), (b'L', path.as_str())] {
                if text.len() > 100 {
                    let mut content = text.as_bytes().to_vec();
                    content.push(0);
                    self.write_extension("././@LongLink", flag, &content)?;
                }
            }
            return Ok(());
        }
        let mut records = Vec::new();
        if path.len() > 100 || !path.is_ascii() {
            push_record(&mut records, "path", path.as_bytes());
        }
        if target.len() > 100 || !target.is_ascii() {
            push_record(&mut records, "linkpath", target.as_bytes());
        }
        let (seconds, nanoseconds) = entry.modified;
        if nanoseconds != 0 || seconds < 0 {
            let time = format!("{seconds}.{nanoseconds:09}");
            push_record(&mut records, "mtime", time.as_bytes());
        }
        for (name, number) in [("uid", entry.owner.0), ("gid", entry.owner.1)] {
            if number > 0o7_777_777 {
                push_record(&mut records, name, number.to_string().as_bytes());
            }
        }
        if let (Some(form), Kind::Sparse(size, pieces)) = (entry.sparse, &entry.kind) {
            push_sparse(&mut records, form, &path, *size, pieces);
        }
        for (name, value) in &entry.xattrs {
            push_record(&mut records, &format!("SCHILY.xattr.{name}"), value);
        }
        if records.is_empty() {
            return Ok(());
        }
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name: String = name.chars().filter(char::is_ascii).take(80).collect();
        self.write_extension(&format!("PaxHeaders.0/{name}"), b'x', &records)
    }

    fn write_extension(&mut self, name: &str, flag: u8, content: &[u8]) -> io::Result<()> {
        let mut block = header(&Entry::new(name, Kind::File, 0o644), content.len() as u64);
        block[156] = flag;
        set_checksum(&mut block);
        self.sink.write_all(&block)?;
        self.sink.write_all(content)?;
        let padding = (BLOCK - content.len() % BLOCK) % BLOCK;
        self.sink.write_all(&[0; BLOCK][..padding])
    }
}

fn header(entry: &Entry, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    // What does not fit is in an extension already.
    put(&mut block[0..100], entry.stored_path().as_bytes());
    put_octal(&mut block[100..108], u64::from(entry.mode));
    put_octal(&mut block[108..116], u64::from(entry.owner.0).min(0o7_777_777));
    put_octal(&mut block[116..124], u64::from(entry.owner.1).min(0o7_777_777));
    put_octal(&mut block[124..136], size);
    put_octal(&mut block[136..148], u64::try_from(entry.modified.0).unwrap_or_default());
    block[156] = entry.type_flag();
    put(&mut block[157..257], entry.target().as_bytes());
    let sparse = matches!(entry.kind, Kind::Sparse(..)) && entry.sparse.is_none();
    // GNU's magic is longer and has no version; `S` exists only there.
    block[257..265].copy_from_slice(if entry.gnu || sparse {
        b"ustar  \0"
    } else {
        b"ustar\x0000"
    });
    let (major, minor) = entry.devices();
    put_octal(&mut block[329..337], u64::from(major));
    put_octal(&mut block[337..345], u64::from(minor));
    if let (Kind::Sparse(real_size, pieces), None) = (&entry.kind, entry.sparse) {
        for (index, (offset, piece)) in pieces.iter().take(4).enumerate() {
            let place = 386 + index * 24;
            put_octal(&mut block[place..place + 12], *offset);
            put_octal(&mut block[place + 12..place + 24], piece.len() as u64);
        }
        put_octal(&mut block[483..495], *real_size);
    }
    set_checksum(&mut block);
    block
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Octal digits and a NUL; a number that is too large as GNU's base 256.
fn put_octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let text = format!("{number:0digits$o}");
    if text.len() == digits {
        field[..digits].copy_from_slice(text.as_bytes());
        return;
    }
    let bytes = number.to_be_bytes();
    let start = field.len() - bytes.len();
    field[start..].copy_from_slice(&bytes);
    field[0] |= 0x80;
}

fn set_checksum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[Entry]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for entry in entries {
            writer.append(entry).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_plain_entry_is_one_header_and_padded_content() {
        let bytes = archive(&[Entry::file("a/b", "hello").mode(0o755).owner(1, 2)]);
        assert_eq!(bytes.len(), 4 * BLOCK);
        assert_eq!(&bytes[..4], b"a/b\0");
        assert_eq!(&bytes[100..124], b"0000755\x000000001\x000000002\0");
        assert_eq!(&bytes[124..136], b"00000000005\0");
        assert_eq!(&bytes[BLOCK..BLOCK + 6], b"hello\0");
        let mut header: [u8; BLOCK] = bytes[..BLOCK].try_into().unwrap();
        let stored = header[148..156].to_vec();
        set_checksum(&mut header);
        assert_eq!(&header[148..156], &stored[..]);
    }

    #[test]
    fn records_count_their_own_length() {
        for (length, expected) in
            [(1, "8 key=v"), (91, "99 key="), (92, "101 key="), (93, "102 key=")]
        {
            let mut records = Vec::new();
            push_record(&mut records, "key", "v".repeat(length).as_bytes());
            let said: usize = records
                .split(|&b| b == b' ')
                .next()
                .map(|n| String::from_utf8_lossy(n).parse())
                .unwrap()
                .unwrap();
            assert_eq!(said, records.len(), "{length}");
            assert!(records.starts_with(expected.as_bytes()), "{length}: {records:?}");
        }
    }

    #[test]
    fn gnu_tar_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let path = folder.path().join("a.tar");
        let pieces = vec![(4096, vec![b'1'; BLOCK]), (1 << 20, b"two".to_vec())];
        let sparse = |name| Entry::of(name, Kind::Sparse((1 << 20) + 3, pieces.clone()));
        let entries = [
            Entry::directory("dir").mode(0o1777),
            Entry::file(&long, "long").modified(1_600_000_000, 123_456_789),
            Entry::file(format!("g{long}"), "gnu").gnu(),
            Entry::symlink("link", &long),
            Entry::hard_link("hard", &long),
            sparse("sparse"),
            sparse("0.0").sparse_as(PaxSparse::V0_0),
            sparse("0.1").sparse_as(PaxSparse::V0_1),
            sparse("1.0").sparse_as(PaxSparse::V1_0),
            Entry::whiteout("dir/gone"),
            Entry::opaque("dir"),
        ];
        std::fs::write(&path, archive(&entries)).unwrap();
        let listed = std::process::Command::new("tar").arg("-tf").arg(&path).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let expected = [
            "dir/",
            &long,
            &format!("g{long}"),
            "link",
            "hard",
            "sparse",
            "0.0",
            "0.1",
            "1.0",
            "dir/.wh.gone",
            "dir/.wh..wh..opq",
        ];
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(listed.lines().collect::<Vec<_>>(), expected);

        let unpacked = std::process::Command::new("tar")
            .args(["--no-same-owner", "-xf"])
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        for name in ["sparse", "0.0", "0.1", "1.0"] {
            let sparse = std::fs::read(folder.path().join(name)).unwrap();
            assert_eq!(sparse.len(), (1 << 20) + 3, "{name}");
            assert_eq!(&sparse[4096..4096 + BLOCK], [b'1'; BLOCK], "{name}");
            assert_eq!(sparse.iter().filter(|&&byte| byte != 0).count(), BLOCK + 3, "{name}");
            assert_eq!(&sparse[1 << 20..], b"two", "{name}");
        }
        assert_eq!(std::fs::read(folder.path().join(&long)).unwrap(), b"long");
    }
}
