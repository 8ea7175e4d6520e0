//! Sizes and durations as people read them, in the words and digits of Docker's go-units.
//!
//! Sizes are decimal for images and transfers (`1.98MB`) and binary for memory (`23.54GiB`); durations are
//! approximate (`3 years`). Scripts compare these columns, so the rounding follows Go's `%.*g` to the digit.

use super::float::significant;

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
}
