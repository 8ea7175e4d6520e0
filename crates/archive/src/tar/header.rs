//! One tar entry, from its header block and the extended headers before it.

use super::number::{decimal, numeric, octal, string};
use super::pax::{Key, Pax};
use super::sparse::Fragment;
use super::{BLOCK_SIZE, Block, MAX_NAME};

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    #[default]
    Regular,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
    /// A PAX global header. Go, and so dockerd, does not apply it to later entries.
    Global,
    /// A PAX header of the next entry.
    Extended,
    /// A GNU entry whose content is the next entry's name.
    LongName,
    /// A GNU entry whose content is the next entry's link target.
    LongLink,
    /// A regular file in the old GNU sparse format.
    OldSparse,
    /// A GNU label of the whole archive, which is no file.
    Label,
    /// A directory of a GNU incremental dump, whose content lists what is in it.
    DumpDirectory,
    /// The rest of a file that an earlier volume of a GNU archive begins.
    Continuation,
    /// Any other type flag.
    Other(u8),
}

impl Kind {
    /// Says whether such an entry has no content, even if its size field has a number.
    pub(super) fn is_header_only(self) -> bool {
        matches!(
            self,
            Self::HardLink
                | Self::Symlink
                | Self::Character
                | Self::Block
                | Self::Directory
                | Self::Fifo
        )
    }
}

/// A point in time: seconds since 1970, which may be negative, and nanoseconds after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Timestamp {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Timestamp {
    fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// Parses PAX's `seconds.fraction`; digits beyond nanoseconds are cut off.
    fn from_pax(text: &[u8]) -> Option<Self> {
        let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
            Some(dot) => (&text[..dot], &text[dot + 1..]),
            None => (text, &[][..]),
        };
        let seconds = decimal(whole)?;
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        let nanoseconds = digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        if whole.first() == Some(&b'-') && nanoseconds > 0 {
            return Some(Self {
                seconds: seconds.checked_sub(1)?,
                nanoseconds: 1_000_000_000 - nanoseconds,
            });
        }
        Some(Self { seconds, nanoseconds })
    }

    /// Returns the time that dockerd sets for it: itself, or 1970 if it lies before that or after 2262 (64 bits of nanoseconds).
    pub(crate) fn bounded(self) -> Self {
        const LAST: Timestamp = Timestamp {
            seconds: i64::MAX / 1_000_000_000,
            nanoseconds: (i64::MAX % 1_000_000_000) as u32,
        };
        if self.seconds < 0 || self > LAST { Self::default() } else { self }
    }
}

/// One entry. The reader keeps and refills a single one, so that entries cost no allocations.
#[derive(Debug, Default)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// As the tar has it: not cleaned, perhaps hostile.
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    /// Size of the file once unpacked; for a sparse file holes included.
    pub(crate) size: i64,
    /// The lower twelve bits: permissions, setuid, setgid, sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Timestamp,
    pub(crate) accessed: Option<Timestamp>,
    pub(crate) major: i64,
    pub(crate) minor: i64,
    /// Extended attributes in their order; a later one of the same name replaces the earlier.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The places of the content, if the file is sparse.
    pub(crate) sparse: Option<Vec<Fragment>>,
}

/// The families of header blocks that differ in what follows the link name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Format {
    /// Recognises the format by its magic, if the checksum is right.
    pub(super) fn of(block: &Block) -> Option<Self> {
        let stated = octal(&block[148..156])?;
        let (unsigned, signed) = checksums(block);
        if stated != unsigned && stated != signed {
            return None;
        }
        Some(match (&block[257..263], &block[263..265], &block[508..512]) {
            (b"ustar\0", _, b"tar\0") => Self::Star,
            (b"ustar\0", ..) => Self::Ustar,
            (b"ustar ", b" \0", _) => Self::Gnu,
            _ => Self::V7,
        })
    }
}

/// Says whether a stream begins as a tar does: with a header whose checksum is right.
pub fn is_tar(prefix: &[u8]) -> bool {
    prefix.first_chunk::<BLOCK_SIZE>().is_some_and(|block| Format::of(block).is_some())
}

/// The sum of the block's bytes as POSIX has it, and with signed bytes as Sun's tar did.
fn checksums(block: &Block) -> (i64, i64) {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let high = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(byte >> 7)).sum::<u32>();
    let field = &block[148..156];
    let unsigned = i64::from(sum(block) - sum(field) + 8 * u32::from(b' '));
    (unsigned, unsigned - 256 * i64::from(high(block) - high(field)))
}

impl Header {
    /// Fills this from a header block with a right checksum. `None` if a number in it is none.
    pub(super) fn read(&mut self, block: &Block, format: Format) -> Option<()> {
        self.kind = match block[156] {
            // POSIX has contiguous files read as others where they cannot be had.
            0 | b'0' | b'7' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'g' => Kind::Global,
            b'x' => Kind::Extended,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'S' => Kind::OldSparse,
            b'V' => Kind::Label,
            b'D' => Kind::DumpDirectory,
            b'M' => Kind::Continuation,
            other => Kind::Other(other),
        };
        self.name.clear();
        self.link.clear();
        self.link.extend_from_slice(string(&block[157..257]));
        self.size = numeric(&block[124..136])?;
        self.mode = low_bits(numeric(&block[100..108])?) & 0o7777;
        self.uid = low_bits(numeric(&block[108..116])?);
        self.gid = low_bits(numeric(&block[116..124])?);
        self.modified = Timestamp::from_seconds(numeric(&block[136..148])?);
        self.accessed = None;
        (self.major, self.minor) = (0, 0);
        self.xattrs.clear();
        self.sparse = None;
        if format != Format::V7 {
            self.major = numeric(&block[329..337])?;
            self.minor = numeric(&block[337..345])?;
            let prefix = match format {
                Format::V7 => &[][..],
                Format::Ustar => string(&block[345..500]),
                Format::Star => {
                    self.accessed = Some(Timestamp::from_seconds(numeric(&block[476..488])?));
                    numeric(&block[488..500])?;
                    string(&block[345..476])
                }
                Format::Gnu => self.read_gnu_times(block),
            };
            if !prefix.is_empty() {
                self.name.extend_from_slice(prefix);
                self.name.push(b'/');
            }
        }
        self.name.extend_from_slice(string(&block[..100]));
        Some(())
    }

    /// Reads GNU's access time; returns a name prefix where Go before 1.8 wrote one in its place by mistake.
    fn read_gnu_times<'a>(&mut self, block: &'a Block) -> &'a [u8] {
        let time = |field: &[u8]| match field[0] {
            0 => Some(None),
            _ => numeric(field).map(|seconds| Some(Timestamp::from_seconds(seconds))),
        };
        if let (Some(accessed), Some(_)) = (time(&block[345..357]), time(&block[357..369])) {
            self.accessed = accessed;
            return &[];
        }
        let prefix = string(&block[345..500]);
        if prefix.is_ascii() { prefix } else { &[] }
    }

    /// Applies the PAX records before the entry. `None` if a number in them is none.
    pub(super) fn merge(&mut self, pax: &Pax) -> Option<()> {
        if let Some(path) = pax.get(Key::Path) {
            replace(&mut self.name, path);
        }
        if let Some(link) = pax.get(Key::LinkPath) {
            replace(&mut self.link, link);
        }
        if let Some(uid) = pax.get(Key::Uid) {
            self.uid = low_bits(decimal(uid)?);
        }
        if let Some(gid) = pax.get(Key::Gid) {
            self.gid = low_bits(decimal(gid)?);
        }
        if let Some(size) = pax.get(Key::Size) {
            self.size = decimal(size)?;
        }
        if let Some(time) = pax.get(Key::ModificationTime) {
            self.modified = Timestamp::from_pax(time)?;
        }
        if let Some(time) = pax.get(Key::AccessTime) {
            self.accessed = Some(Timestamp::from_pax(time)?);
        }
        if let Some(time) = pax.get(Key::ChangeTime) {
            Timestamp::from_pax(time)?;
        }
        for (name, value) in pax.xattrs() {
            self.xattrs.push((name.to_vec(), value.to_vec()));
        }
        Some(())
    }

    /// Says whether name and link target are within bounds.
    pub(super) fn fits(&self) -> bool {
        self.name.len() <= MAX_NAME && self.link.len() <= MAX_NAME
    }

    /// The access time to set, as dockerd chooses it: the later of both times.
    pub(crate) fn access_time(&self) -> Timestamp {
        self.accessed.map_or(self.modified, |accessed| accessed.max(self.modified)).bounded()
    }

    /// The modification time to set.
    pub(crate) fn modification_time(&self) -> Timestamp {
        self.modified.bounded()
    }
}

pub(super) fn replace(target: &mut Vec<u8>, value: &[u8]) {
    target.clear();
    target.extend_from_slice(value);
}

/// The lower 32 bits: what the kernel sees of the IDs and modes that Go passes on, in whose tars -2 means `nobody`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "this is the purpose")]
fn low_bits(value: i64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_times() {
        let time = |seconds, nanoseconds| Some(Timestamp { seconds, nanoseconds });
        let cases: [(&[u8], _); 11] = [
            (b"1350244992", time(1_350_244_992, 0)),
            (b"1350244992.023960108", time(1_350_244_992, 23_960_108)),
            (b"1350244992.02396010899", time(1_350_244_992, 23_960_108)),
            (b"1.5", time(1, 500_000_000)),
            (b"-1.5", time(-2, 500_000_000)),
            (b"-1", time(-1, 0)),
            (b"1.", time(1, 0)),
            (b".5", None),
            (b"1.5x", None),
            (b"1.-5", None),
            (b"", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Timestamp::from_pax(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn times_outside_of_go_are_1970() {
        let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        let cases = [
            (time(0, 1), time(0, 1)),
            (time(-1, 999_999_999), time(0, 0)),
            (time(9_223_372_036, 854_775_807), time(9_223_372_036, 854_775_807)),
            (time(9_223_372_036, 854_775_808), time(0, 0)),
            (time(i64::MAX, 0), time(0, 0)),
        ];
        for (given, expected) in cases {
            assert_eq!(given.bounded(), expected, "{given:?}");
        }
    }
}
