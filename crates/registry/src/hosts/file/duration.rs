//! Go's way to write durations: `1m30s`, `1.5h`, `500ms`.

use std::time::Duration;

/// The units, in nanoseconds. Longer names first where one is the beginning of another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration that is not negative.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (name, nanoseconds) = UNITS.iter().find(|(name, _)| unit.starts_with(name))?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(Duration::from_nanos(whole.checked_mul(*nanoseconds)?))?;
        total = total.checked_add(part(fraction, *nanoseconds))?;
        rest = &unit[name.len()..];
    }
    (!text.is_empty() && !text.ends_with('+')).then_some(total)
}

/// Returns the digits behind a point as a part of a unit.
fn part(fraction: &str, unit: u64) -> Duration {
    let mut scale = unit;
    let mut nanoseconds = 0;
    for digit in fraction.bytes() {
        scale /= 10;
        nanoseconds += u64::from(digit - b'0') * scale;
    }
    Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, expected) in [
            ("1s", Some(1_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("1.s", Some(1_000)),
            ("+2s", Some(2_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1000us", Some(1)),
            ("1000µs", Some(1)),
            ("", None),
            ("+", None),
            ("1", None),
            ("s", None),
            (".s", None),
            ("-1s", None),
            ("1d", None),
            ("1s ", None),
            ("1..5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
