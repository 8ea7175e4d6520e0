//! Sizes and durations as people read them, in the words and digits of Docker's go-units.
//!
//! Sizes are decimal for images and transfers (`1.98MB`) and binary for memory (`23.54GiB`); durations are
//! approximate (`3 years`). Scripts compare these columns, so the rounding follows Go's `%.*g` to the digit.

use super::float::significant;
use super::quote::quoted;

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// Significant digits of sizes in progress bars.
pub const PROGRESS_DIGITS: usize = 4;
/// Significant digits of the `SIZE` column of an image list.
pub const LIST_DIGITS: usize = 3;

/// Returns `bytes` in decimal units with `digits` significant digits: `1.98MB`.
pub fn human_size(bytes: i64, digits: usize) -> String {
    scaled(bytes, 1000.0, &DECIMAL, digits)
}

/// Returns `bytes` as [`human_size`] does; what is more than go-units counts to is shown as the most that it counts to.
pub fn human_bytes(bytes: u64, digits: usize) -> String {
    human_size(i64::try_from(bytes).unwrap_or(i64::MAX), digits)
}

/// Returns `bytes` in binary units with four significant digits: `23.54GiB`.
pub fn binary_size(bytes: i64) -> String {
    scaled(bytes, 1024.0, &BINARY, 4)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "go-units computes in float64 and rounds to four digits"
)]
fn scaled(bytes: i64, base: f64, units: &[&str], digits: usize) -> String {
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    format!("{}{}", significant(size, digits), units[unit])
}

/// Returns how long `nanoseconds` is in one approximate phrase: `About an hour`, `3 years`.
pub fn human_duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let minutes = seconds / 60;
    // Hours are rounded, everything else is cut off.
    let hours = nanoseconds.saturating_add(1_800_000_000_000) / 3_600_000_000_000;
    let whole_hours = seconds / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", whole_hours / 24 / 365),
    }
}

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid size {}: give a number and a unit, as in 40GB or 512MiB", quoted(.0))]
pub struct SizeError(String);

/// Reads a size as [`human_size`] and [`binary_size`] write it: `1.5GB`, `512MiB`; `40g` is `40GB`, and a number alone is of bytes.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let invalid = || SizeError(text.to_owned());
    let text = text.trim();
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let position = |units: &[&str; 9], base: u128| {
        let is_it = |name: &&str| {
            let name = name.to_ascii_lowercase();
            unit == name || unit.len() == 1 && base == 1000 && name.strip_suffix('b') == Some(&unit)
        };
        let power = units.iter().position(is_it)?;
        base.checked_pow(u32::try_from(power).ok()?)
    };
    let scale = match unit.as_str() {
        "" => 1,
        _ => position(&DECIMAL, 1000).or_else(|| position(&BINARY, 1024)).ok_or_else(invalid)?,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // More digits behind the point than these are less than a byte of any unit that fits.
    if whole.is_empty() || fraction.contains('.') || fraction.len() > 18 {
        return Err(invalid());
    }
    let whole: u128 = whole.parse().map_err(|_| invalid())?;
    let part = if fraction.is_empty() { Ok(0) } else { fraction.parse::<u128>() };
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| invalid())?);
    let part = part.map_err(|_| invalid())?.checked_mul(scale).ok_or_else(invalid)? / divisor;
    let bytes = whole.checked_mul(scale).and_then(|whole| whole.checked_add(part));
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_go_units_digits() {
        for (bytes, digits, expected) in [
            (0, 3, "0B"),
            (18, 3, "18B"),
            (999, 3, "999B"),
            (1000, 3, "1kB"),
            (1024, 4, "1.024kB"),
            (682_696, 3, "683kB"),
            (682_696, 4, "682.7kB"),
            (999_999, 3, "1e+03kB"), // go-units rounds after it has chosen the unit
            (1_982_581, 3, "1.98MB"),
            (1_982_581, 4, "1.983MB"),
            (6_631_000, 4, "6.631MB"),
            (10_000_000, 3, "10MB"),
            (123_456_789_012, 3, "123GB"),
            (i64::MAX, 3, "9.22EB"),
            (-1, 3, "-1B"),
        ] {
            assert_eq!(human_size(bytes, digits), expected, "{bytes} with {digits} digits");
        }
        assert_eq!(binary_size(25_276_502_016), "23.54GiB");
        assert_eq!(human_bytes(1_982_581, LIST_DIGITS), "1.98MB");
        assert_eq!(human_bytes(u64::MAX, PROGRESS_DIGITS), "9.223EB");
    }

    #[test]
    fn durations_have_go_units_words() {
        const SECOND: i64 = 1_000_000_000;
        const HOUR: i64 = 3600 * SECOND;
        for (nanoseconds, expected) in [
            (-5 * SECOND, "Less than a second"),
            (SECOND - 1, "Less than a second"),
            (SECOND, "1 second"),
            (59 * SECOND, "59 seconds"),
            (60 * SECOND, "About a minute"),
            (119 * SECOND, "About a minute"),
            (120 * SECOND, "2 minutes"),
            (59 * 60 * SECOND, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + HOUR / 2, "2 hours"),
            (47 * HOUR, "47 hours"),
            (48 * HOUR, "2 days"),
            (13 * 24 * HOUR, "13 days"),
            (14 * 24 * HOUR, "2 weeks"),
            (59 * 24 * HOUR, "8 weeks"),
            (60 * 24 * HOUR, "2 months"),
            (729 * 24 * HOUR, "24 months"),
            (730 * 24 * HOUR, "2 years"),
            (i64::MAX, "292 years"),
        ] {
            assert_eq!(human_duration(nanoseconds), expected, "{nanoseconds} ns");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1234", Some(1234)),
            ("12B", Some(12)),
            ("40GB", Some(40_000_000_000)),
            ("40g", Some(40_000_000_000)),
            ("1.5 kb", Some(1500)),
            ("512MiB", Some(512 << 20)),
            ("0.5KiB", Some(512)),
            ("16EiB", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("GB", None),
            (".5GB", None),
            ("1..5GB", None),
            ("1.2.3GB", None),
            ("-1GB", None),
            ("1GBs", None),
            ("1 G B", None),
            ("1i", None),
            ("\u{663}GB", None),
            ("1.0000000000000000000GB", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
        let error = parse_size("much").unwrap_err().to_string();
        assert_eq!(error, "invalid size \"much\": give a number and a unit, as in 40GB or 512MiB");
    }
}
