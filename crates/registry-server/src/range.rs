//! `Range` of a blob's download and `Content-Range` of an upload's chunk.

use std::ops::Range;

/// The part of a blob that a download's `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: no range, several, or one that means nothing (RFC 9110, 14.2: ignored).
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// A range that lies outside of the blob.
    Unsatisfiable,
}

/// Reads a `Range` header for content of `size` bytes.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header
        .and_then(|text| text.trim().strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let range = match (first, last) {
        ("", suffix) => match number(suffix) {
            Some(length) => size.saturating_sub(length)..size,
            None => return Wanted::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Wanted::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
            _ => return Wanted::Whole,
        },
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Unsatisfiable }
}

/// Reads the `Content-Range` of an upload's chunk: `<first>-<last>`, which is what the distribution
/// specification asks for, or RFC 9110's `bytes <first>-<last>/<size>`, which some clients send.
pub(crate) fn chunk(header: &str) -> Option<Range<u64>> {
    let text = header.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches([' ', '=']));
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (first, last) = text.split_once('-')?;
    let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
    (first < end).then_some(first..end)
}

/// Digits only: `u64::from_str` takes a sign as well.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn download_ranges() {
        for (header, size, expected) in [
            (None, 10, Wanted::Whole),
            (Some("bytes=0-4"), 10, Wanted::Part(0..5)),
            (Some("bytes=0-0"), 10, Wanted::Part(0..1)),
            (Some("bytes=9-9"), 10, Wanted::Part(9..10)),
            (Some("bytes=4-"), 10, Wanted::Part(4..10)),
            (Some("bytes=4-100"), 10, Wanted::Part(4..10)),
            (Some("bytes=4-18446744073709551615"), 10, Wanted::Part(4..10)),
            (Some("bytes=-3"), 10, Wanted::Part(7..10)),
            (Some("bytes=-100"), 10, Wanted::Part(0..10)),
            (Some("bytes=10-"), 10, Wanted::Unsatisfiable),
            (Some("bytes=10-20"), 10, Wanted::Unsatisfiable),
            (Some("bytes=-0"), 10, Wanted::Unsatisfiable),
            (Some("bytes=0-"), 0, Wanted::Unsatisfiable),
            (Some("bytes=5-4"), 10, Wanted::Whole),
            (Some("bytes=0-1,4-5"), 10, Wanted::Whole),
            (Some("bytes=a-b"), 10, Wanted::Whole),
            (Some("bytes=-"), 10, Wanted::Whole),
            (Some("bytes=+1-2"), 10, Wanted::Whole),
            (Some("bytes=18446744073709551616-"), 10, Wanted::Whole),
            (Some("items=0-1"), 10, Wanted::Whole),
        ] {
            assert_eq!(wanted(header, size), expected, "{header:?} of {size}");
        }
    }

    #[test]
    fn upload_chunks() {
        for (header, expected) in [
            ("0-4", Some(0..5)),
            ("5-5", Some(5..6)),
            ("bytes 5-9/*", Some(5..10)),
            ("bytes=5-9/10", Some(5..10)),
            ("", None),
            ("5", None),
            ("9-5", None),
            ("-5", None),
            ("5-", None),
            ("+5-9", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(chunk(header), expected, "{header:?}");
        }
    }
}
