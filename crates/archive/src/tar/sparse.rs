//! The maps of sparse files: where each piece of the content in the tar belongs in the file.

use super::number::{decimal, numeric};
use super::pax::{Key, Pax};
use super::{BLOCK_SIZE, Block, MAX_SPECIAL_SIZE};

/// A run of content; between the runs are holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The GNU sparse format of an entry with PAX records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PaxSparse {
    No,
    /// 0.0 and 0.1: the map is in the records.
    InRecords,
    /// 1.0: the map precedes the content.
    InContent,
}

impl PaxSparse {
    pub(super) fn of(pax: &Pax) -> Self {
        match (pax.get(Key::SparseMajor), pax.get(Key::SparseMinor)) {
            (Some(b"0"), Some(b"0" | b"1")) => Self::InRecords,
            (Some(b"1"), Some(b"0")) => Self::InContent,
            (None, None) if pax.get(Key::SparseMap).is_some() => Self::InRecords,
            _ => Self::No,
        }
    }
}

fn fragment(offset: Option<i64>, length: Option<i64>) -> Option<Fragment> {
    Some(Fragment { offset: u64::try_from(offset?).ok()?, length: u64::try_from(length?).ok()? })
}

/// Reads the map of formats 0.0 and 0.1 from the records.
pub(super) fn from_records(pax: &Pax) -> Option<Vec<Fragment>> {
    let count = usize::try_from(decimal(pax.get(Key::SparseBlocks)?)?).ok()?;
    let Some(map) = pax.get(Key::SparseMap) else {
        return (count == 0).then(Vec::new);
    };
    let mut numbers = map.split(|byte| *byte == b',').map(decimal);
    let mut fragments = Vec::new();
    while let Some(offset) = numbers.next() {
        fragments.push(fragment(offset, numbers.next()?)?);
    }
    (fragments.len() == count).then_some(fragments)
}

/// The map of format 1.0: decimal numbers, one a line, padded to a block; fed block by block.
#[derive(Debug, Default)]
pub(super) struct ContentMap {
    text: Vec<u8>,
    newlines: u64,
    wanted: Option<u64>,
}

impl ContentMap {
    /// Says whether another block must be [`push`](Self::push)ed. `None` if the map is broken or beyond its bound.
    pub(super) fn wants_more(&mut self) -> Option<bool> {
        if self.text.len() as u64 > MAX_SPECIAL_SIZE {
            return None;
        }
        if self.wanted.is_none() && self.newlines > 0 {
            let count = self.text.split(|byte| *byte == b'\n').next().and_then(decimal)?;
            // Two lines a fragment and the count's own.
            self.wanted = Some(u64::try_from(count).ok()?.checked_mul(2)?.checked_add(1)?);
        }
        Some(self.wanted.is_none_or(|wanted| self.newlines < wanted))
    }

    pub(super) fn push(&mut self, block: &[u8]) {
        self.text.extend_from_slice(block);
        self.newlines += block.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }

    /// The fragments, once no more blocks are wanted.
    pub(super) fn fragments(&self) -> Option<Vec<Fragment>> {
        let mut numbers = self.text.split(|byte| *byte == b'\n').map(decimal);
        let count = numbers.next()??;
        (0..count).map(|_| fragment(numbers.next()?, numbers.next()?)).collect()
    }
}

/// Appends the fragments of an old GNU header (four, at 386) or extension block (21, at 0).
///
/// Returns whether an extension block follows; `None` if a number is none.
pub(super) fn from_block(block: &Block, is_header: bool, map: &mut Vec<Fragment>) -> Option<bool> {
    const ENTRY: usize = 24;
    let (array, count) = if is_header {
        (&block[386..=386 + 4 * ENTRY], 4)
    } else {
        (&block[..], BLOCK_SIZE / ENTRY)
    };
    for entry in array.chunks_exact(ENTRY).take(count) {
        if entry[0] == 0 {
            break;
        }
        map.push(fragment(numeric(&entry[..12]), numeric(&entry[12..]))?);
    }
    Some(array[count * ENTRY] > 0)
}

/// Says whether the fragments are in order, apart, within `size`, and together as long as the content in the tar.
pub(super) fn is_valid(map: &[Fragment], size: u64, content: u64) -> bool {
    let mut end = 0_u64;
    let mut total = 0_u64;
    for fragment in map {
        let Some(next) = fragment.offset.checked_add(fragment.length) else { return false };
        if fragment.offset < end || next > size {
            return false;
        }
        end = next;
        total += fragment.length;
    }
    total == content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(u64, u64)]) -> Vec<Fragment> {
        pairs.iter().map(|&(offset, length)| Fragment { offset, length }).collect()
    }

    #[test]
    fn validity() {
        type Pairs = &'static [(u64, u64)];
        let cases: [(Pairs, u64, u64, bool); 11] = [
            (&[], 0, 0, true),
            (&[], 100, 0, true),
            (&[(0, 5), (5, 5)], 10, 10, true),
            (&[(10, 0)], 10, 0, true),
            (&[(11, 0)], 10, 0, false),
            (&[(0, 5), (4, 5)], 10, 10, false),
            (&[(5, 5), (0, 5)], 10, 10, false),
            (&[(0, 11)], 10, 11, false),
            (&[(u64::MAX, 2)], 10, 2, false),
            (&[(0, 5)], 10, 6, false),
            (&[(0, 5)], 10, 4, false),
        ];
        for (pairs, size, content, expected) in cases {
            assert_eq!(is_valid(&map(pairs), size, content), expected, "{pairs:?} {size}");
        }
    }

    #[test]
    fn content_map_is_bounded_and_checked() {
        let read = |text: &[u8]| {
            let mut content = ContentMap::default();
            for block in text.chunks(4) {
                if !content.wants_more()? {
                    break;
                }
                content.push(block);
            }
            if content.wants_more()? { None } else { content.fragments() }
        };
        assert_eq!(read(b"2\n0\n5\n10\n5\n\0\0\0"), Some(map(&[(0, 5), (10, 5)])));
        assert_eq!(read(b"0\n\0\0"), Some(Vec::new()));
        let broken: &[&[u8]] = &[
            b"",
            b"x\n",
            b"-1\n",
            b"2\n0\n5\n",
            b"1\n0\nx\n",
            b"1\n-1\n2\n",
            b"9223372036854775807\n1\n",
        ];
        for text in broken {
            assert_eq!(read(text), None, "{}", text.escape_ascii());
        }
        assert_eq!(read(&vec![b' '; 2 << 20]), None);
    }
}
