//! Builds tars, right ones and wrong ones.

/// The format of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    V7,
    Ustar,
    Gnu,
    Star,
}

/// One entry; fields are changed by its methods.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) block: [u8; 512],
    pub(crate) content: Vec<u8>,
    records: Vec<u8>,
}

/// A regular file.
pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> Entry {
    Entry::new(name.as_bytes(), b'0').content(content.as_ref())
}

/// Makes an entry for a directory.
pub(crate) fn directory(name: &str) -> Entry {
    Entry::new(name.as_bytes(), b'5').mode(0o755)
}

/// Makes an entry for a symlink.
pub(crate) fn symlink(name: &str, target: &str) -> Entry {
    Entry::new(name.as_bytes(), b'2').mode(0o777).link(target.as_bytes())
}

/// Makes an entry for a hard link.
pub(crate) fn hard_link(name: &str, target: &str) -> Entry {
    Entry::new(name.as_bytes(), b'1').link(target.as_bytes())
}

impl Entry {
    /// An entry with the start of `name`; use [`Tar::long`] or a PAX record for one beyond 100 bytes.
    pub(crate) fn new(name: &[u8], kind: u8) -> Self {
        let mut entry = Self { block: [0; 512], content: Vec::new(), records: Vec::new() };
        let length = name.len().min(100);
        entry.block[..length].copy_from_slice(&name[..length]);
        entry.block[156] = kind;
        let (uid, gid) = super::fixture::own_ids();
        entry.format(Format::Ustar).mode(0o644).owner(uid, gid).modified(1_600_000_000)
    }

    pub(crate) fn format(mut self, format: Format) -> Self {
        let magic: &[u8] = match format {
            Format::V7 => &[0; 8],
            Format::Ustar | Format::Star => b"ustar\x0000",
            Format::Gnu => b"ustar  \0",
        };
        self.block[257..265].copy_from_slice(magic);
        let trailer: &[u8] = if format == Format::Star { b"tar\0" } else { &[0; 4] };
        self.block[508..].copy_from_slice(trailer);
        self
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        self.octal(100, 8, mode.into())
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        self.octal(108, 8, uid.into()).octal(116, 8, gid.into())
    }

    pub(crate) fn modified(self, seconds: u64) -> Self {
        self.octal(136, 12, seconds)
    }

    pub(crate) fn device(self, major: u32, minor: u32) -> Self {
        self.octal(329, 8, major.into()).octal(337, 8, minor.into())
    }

    /// Sets the link target, by a PAX record if the field is too short.
    pub(crate) fn link(self, target: &[u8]) -> Self {
        if target.len() > 100 { self.pax("linkpath", target) } else { self.bytes(157, target) }
    }

    pub(crate) fn content(mut self, content: &[u8]) -> Self {
        self.content = content.to_vec();
        self.size(content.len() as u64)
    }

    /// States a size, whatever the content has.
    pub(crate) fn size(self, size: u64) -> Self {
        self.octal(124, 12, size)
    }

    pub(crate) fn bytes(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.block[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn octal(self, offset: usize, width: usize, value: u64) -> Self {
        let text = format!("{value:0digits$o}\0", digits = width - 1);
        self.bytes(offset, &text.as_bytes()[text.len() - width..])
    }

    /// Puts a PAX record before the entry.
    pub(crate) fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.records.extend(record(key, value.as_ref()));
        self
    }
}

/// One PAX record.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let length = (1..8).map(|digits| body + digits).find(|n| n.to_string().len() + body == *n);
    let mut record = format!("{} {key}=", length.unwrap()).into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// Sets the checksum of a header block.
pub(crate) fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A tar in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds an entry with its checksum, its PAX records and its content's padding.
    pub(crate) fn add(self, entry: Entry) -> Self {
        let Entry { mut block, content, records } = entry;
        let mut tar = if records.is_empty() {
            self
        } else {
            self.add(Entry::new(b"PaxHeaders/x", b'x').content(&records))
        };
        seal(&mut block);
        tar.0.extend_from_slice(&block);
        tar.0.extend_from_slice(&content);
        tar.pad(512)
    }

    /// Adds an entry whose name is given by a GNU long name.
    pub(crate) fn long(self, name: &[u8], entry: Entry) -> Self {
        let content = [name, &[0]].concat();
        let long = Entry::new(b"././@LongLink", b'L').format(Format::Gnu).content(&content);
        self.add(long).add(entry.format(Format::Gnu))
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn pad(mut self, to: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self
    }

    /// Ends the tar with two zero blocks.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }

    /// Ends it as it is.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.0
    }
}

/// A tar of these entries.
pub(crate) fn tar(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    entries.into_iter().fold(Tar::new(), Tar::add).finish()
}
