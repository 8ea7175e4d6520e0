//! Go's times in JSON.

use std::fmt::Write as _;

/// The time that a document gives as `null` or not at all.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
/// The digits of a fraction that Go keeps.
const NANOSECONDS: usize = 9;

/// Writes a time as Go writes what it has read: without zeros at the end of the fraction, and `Z` for no offset. `None` for what Go
/// does not take for a time.
pub fn time(text: &str) -> Option<String> {
    let (date, rest) = text.split_at_checked(19)?;
    let (year, month, day) =
        (number(date, 0, 4, b'-')?, number(date, 5, 2, b'-')?, number(date, 8, 2, b'T')?);
    let (hour, minute) = (number(date, 11, 2, b':')?, number(date, 14, 2, b':')?);
    let second = digits(date.get(17..19)?)?;
    let is_date = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        None => ("", rest),
        Some(rest) => {
            let length = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (fraction, zone) = rest.split_at(length);
            (Some(fraction).filter(|fraction| !fraction.is_empty())?, zone)
        }
    };
    let mut written = date.to_owned();
    let kept = fraction.get(..NANOSECONDS).unwrap_or(fraction).trim_end_matches('0');
    if !kept.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(written, ".{kept}");
    }
    written.push_str(match zone {
        "Z" | "+00:00" | "-00:00" => "Z",
        offset => {
            let shape = offset.strip_prefix(['+', '-']).filter(|offset| offset.len() == 5)?;
            let (hours, minutes) = (number(shape, 0, 2, b':')?, digits(shape.get(3..5)?)?);
            Some(offset).filter(|_| hours < 24 && minutes < 60)?
        }
    });
    Some(written)
}

/// Reads a number of `length` digits and the separator behind it.
fn number(text: &str, at: usize, length: usize, separator: u8) -> Option<u32> {
    let end = at + length;
    let is_separated = text.as_bytes().get(end) == Some(&separator);
    digits(text.get(at..end)?).filter(|_| is_separated)
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (text, expected) in [
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14T22:13:20.120Z", "2023-11-14T22:13:20.12Z"),
            ("2023-11-14T22:13:20.000+02:00", "2023-11-14T22:13:20+02:00"),
            ("2023-11-14T22:13:20.5+00:00", "2023-11-14T22:13:20.5Z"),
            ("2015-01-02T03:04:07.1234567890-01:30", "2015-01-02T03:04:07.123456789-01:30"),
            ("2024-02-29T00:00:00,5Z", "2024-02-29T00:00:00.5Z"),
            (ZERO_TIME, ZERO_TIME),
        ] {
            assert_eq!(time(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14t22:13:20z",
            "2023-11-14 22:13:20Z",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-11-14T24:13:20Z",
            "2023-11-14T22:13:60Z",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20+2:00",
            "2023-11-14T22:13:20+24:00",
            "2023-11-14T22:13:20Zx",
            "+023-11-14T22:13:20Z",
            "äääääääääääääääääää",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
