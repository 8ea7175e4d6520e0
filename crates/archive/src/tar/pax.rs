//! PAX extended headers: `length key=value` records.

use std::ops::Range;

use super::number::decimal;

/// The records that mean something to an unpacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Path,
    LinkPath,
    Uid,
    Gid,
    Size,
    ModificationTime,
    AccessTime,
    ChangeTime,
    SparseMajor,
    SparseMinor,
    SparseMap,
    SparseName,
    SparseSize,
    SparseRealSize,
    SparseBlocks,
}

const KEYS: [(&[u8], Key); 15] = [
    (b"path", Key::Path),
    (b"linkpath", Key::LinkPath),
    (b"uid", Key::Uid),
    (b"gid", Key::Gid),
    (b"size", Key::Size),
    (b"mtime", Key::ModificationTime),
    (b"atime", Key::AccessTime),
    (b"ctime", Key::ChangeTime),
    (b"GNU.sparse.major", Key::SparseMajor),
    (b"GNU.sparse.minor", Key::SparseMinor),
    (b"GNU.sparse.map", Key::SparseMap),
    (b"GNU.sparse.name", Key::SparseName),
    (b"GNU.sparse.size", Key::SparseSize),
    (b"GNU.sparse.realsize", Key::SparseRealSize),
    (b"GNU.sparse.numblocks", Key::SparseBlocks),
];
const XATTR: &[u8] = b"SCHILY.xattr.";

/// The records of one extended header: ranges into its text, so that an entry costs no allocations.
#[derive(Debug, Default)]
pub(super) struct Pax {
    text: Vec<u8>,
    values: [Option<Range<usize>>; KEYS.len()],
    xattrs: Vec<(Range<usize>, Range<usize>)>,
    /// The map of sparse format 0.0, in the form of 0.1; it takes the place of `GNU.sparse.map`.
    sparse_map: Vec<u8>,
}

impl Pax {
    /// Forgets all records.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.values = Default::default();
        self.xattrs.clear();
        self.sparse_map.clear();
    }

    /// Replaces all records by those of `text`. `None` if one of them breaks the format.
    pub(super) fn parse(&mut self, text: &[u8]) -> Option<()> {
        self.clear();
        self.text.extend_from_slice(text);
        let mut start = 0;
        let mut sparse_numbers = 0_usize;
        while start < text.len() {
            let (key, value, next) = record(text, start)?;
            start = next;
            let name = &text[key];
            if name == b"GNU.sparse.offset" || name == b"GNU.sparse.numbytes" {
                let is_offset = name == b"GNU.sparse.offset";
                let number = &text[value];
                if is_offset != sparse_numbers.is_multiple_of(2) || number.contains(&b',') {
                    return None;
                }
                if sparse_numbers > 0 {
                    self.sparse_map.push(b',');
                }
                self.sparse_map.extend_from_slice(number);
                sparse_numbers += 1;
            } else if let Some((_, known)) = KEYS.iter().find(|(known, _)| *known == name) {
                self.values[*known as usize] = Some(value);
            } else if name.starts_with(XATTR) {
                let end = value.start - 1;
                self.xattrs.push((end - (name.len() - XATTR.len())..end, value));
            }
        }
        Some(())
    }

    /// The value of a record; an empty one counts as absent.
    pub(super) fn get(&self, key: Key) -> Option<&[u8]> {
        if key == Key::SparseMap && !self.sparse_map.is_empty() {
            return Some(&self.sparse_map);
        }
        let value = &self.text[self.values[key as usize].clone()?];
        (!value.is_empty()).then_some(value)
    }

    /// The extended attributes, names without their `SCHILY.xattr.`.
    pub(super) fn xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.xattrs
            .iter()
            .map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }
}

/// Finds key and value of the record at `start`, and where the next one is.
fn record(text: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>, usize)> {
    let rest = &text[start..];
    // The longest length is that of 1 MiB: seven digits; a sign is possible.
    let space = rest.iter().take(32).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&rest[..space])?).ok()?;
    if length < 5 || length > rest.len() || length < space + 2 || rest[length - 1] != b'\n' {
        return None;
    }
    let equals = rest[space + 1..length - 1].iter().position(|byte| *byte == b'=')?;
    let key = start + space + 1..start + space + 1 + equals;
    let value = key.end + 1..start + length - 1;
    let is_string = matches!(&text[key.clone()], b"path" | b"linkpath" | b"uname" | b"gname");
    let strict = if is_string { value.clone() } else { key.clone() };
    if key.is_empty() || text[strict].contains(&0) {
        return None;
    }
    Some((key, value, start + length))
}

/// Fuzz target: records that were read are written as ones that read the same.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let mut pax = Pax::default();
    if pax.parse(data).is_none() {
        return;
    }
    let mut text = Vec::new();
    let mut record = |name: &[u8], value: &[u8]| {
        // The length counts its own digits.
        let rest = name.len() + value.len() + 3;
        let guess = rest + rest.to_string().len();
        let length = rest + guess.to_string().len();
        text.extend_from_slice(format!("{length} ").as_bytes());
        text.extend_from_slice(&[name, b"=", value, b"\n"].concat());
    };
    for (name, key) in KEYS {
        pax.get(key).into_iter().for_each(|value| record(name, value));
    }
    pax.xattrs().for_each(|(name, value)| record(&[XATTR, name].concat(), value));
    let mut again = Pax::default();
    assert!(again.parse(&text).is_some(), "{}", text.escape_ascii());
    for (_, key) in KEYS {
        assert_eq!(again.get(key), pax.get(key), "{key:?}");
    }
    assert!(again.xattrs().eq(pax.xattrs()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Option<Pax> {
        let mut pax = Pax::default();
        pax.parse(text).map(|()| pax)
    }

    #[test]
    fn refuses_broken_records() {
        let cases: &[&[u8]] = &[
            b"x",
            b"6 k=1",
            b"6 k=1x",
            b"7 k=1\n",
            b"5 k=1\n",
            b"4 =1\n",
            b"5 =1\n",
            b"-6 k=1\n",
            b"99999999999999999999 k=1\n",
            b"6 kk1\n",
            b"000000000000000000000000000000000006 k=1\n",
            b"12 path=a\0b\n",
            b"7 k\0=1\n",
            b"26 GNU.sparse.numbytes=10\n",
            b"24 GNU.sparse.offset=10\n24 GNU.sparse.offset=20\n",
            b"24 GNU.sparse.offset=1,\n",
            b"\n",
        ];
        for text in cases {
            assert!(parse(text).is_none(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn later_records_win_and_empty_ones_delete() {
        let pax = parse(b"10 path=a\n10 path=b\n8 uid=1\n7 uid=\n").unwrap();
        assert_eq!(pax.get(Key::Path), Some(&b"b"[..]));
        assert_eq!(pax.get(Key::Uid), None);
    }

    #[test]
    fn xattrs_may_hold_anything() {
        let pax = parse(b"26 SCHILY.xattr.user.a=\0\n\n27 SCHILY.xattr.user.b=b=c\n").unwrap();
        let found: Vec<_> = pax.xattrs().collect();
        assert_eq!(found, [(&b"user.a"[..], &b"\0\n"[..]), (b"user.b", b"b=c")]);
    }

    #[test]
    fn sparse_0_0_becomes_0_1() {
        let pax = parse(b"23 GNU.sparse.offset=0\n25 GNU.sparse.numbytes=5\n").unwrap();
        assert_eq!(pax.get(Key::SparseMap), Some(&b"0,5"[..]));
    }
}
