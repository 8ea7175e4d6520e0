//! Sizes and durations as people read them, in the words and digits of Docker's go-units.
//!
//! Sizes are decimal for images and transfers (`1.98MB`) and binary for memory (`23.54GiB`); durations are
//! approximate (`3 years`). Scripts compare these columns, so the rounding follows Go's `%.*g` to the digit.

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// Significant digits of sizes in progress bars.
pub(crate) const PROGRESS_DIGITS: usize = 4;
/// Significant digits of the `SIZE` column of an image list.
pub(crate) const LIST_DIGITS: usize = 3;

/// Returns `bytes` in decimal units with `digits` significant digits: `1.98MB`.
pub(crate) fn human_size(bytes: i64, digits: usize) -> String {
    scaled(bytes, 1000.0, &DECIMAL, digits)
}

/// Returns `bytes` in binary units with four significant digits: `23.54GiB`.
pub(crate) fn binary_size(bytes: i64) -> String {
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

/// Formats as C's and Go's `%.<digits>g`: at most `digits` significant digits, no trailing zeros, an exponent
/// where the number does not fit.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific; // NaN and infinities have no exponent
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if exponent < -4 || exponent >= i32::try_from(digits).unwrap_or(i32::MAX) {
        return format!("{}e{}", without_trailing_zeros(mantissa), two_digit_exponent(exponent));
    }
    let decimals =
        usize::try_from(i64::try_from(digits).unwrap_or(0) - 1 - i64::from(exponent)).unwrap_or(0);
    without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
}

/// Writes an exponent as Go and C do: always signed, at least two digits.
pub(crate) fn two_digit_exponent(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:02}", exponent.unsigned_abs())
}

fn without_trailing_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Returns how long `nanoseconds` is in one approximate phrase: `About an hour`, `3 years`.
pub(crate) fn human_duration(nanoseconds: i64) -> String {
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

/// Returns a duration as Go's `time.Duration` prints: `1h2m3.5s`, `1.5ms`, `0s`.
pub(crate) fn exact_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    // Below a second the unit is the largest that leaves a whole number before the point.
    let (unit, name): (u64, &str) = match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let digits = unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", nanoseconds % unit);
    let fraction = fraction.trim_end_matches('0');
    let point =
        if digits == 0 || fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    let whole = nanoseconds / unit;
    match (whole / 3600, whole / 60 % 60) {
        (hours, minutes) if unit == 1_000_000_000 && hours > 0 => {
            format!("{sign}{hours}h{minutes}m{}{point}s", whole % 60)
        }
        (0, minutes) if unit == 1_000_000_000 && minutes > 0 => {
            format!("{sign}{minutes}m{}{point}s", whole % 60)
        }
        _ => format!("{sign}{whole}{point}{name}"),
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
    fn significant_digits_follow_printf() {
        for (value, digits, expected) in [
            (0.0, 4, "0"),
            (0.000_012_345, 3, "1.23e-05"),
            (0.000_123_45, 3, "0.000123"),
            (100.0, 4, "100"),
            (12345.0, 4, "1.234e+04"),
            (2.5, 1, "2"),
        ] {
            assert_eq!(significant(value, digits), expected, "{value} with {digits} digits");
        }
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
    fn exact_durations_start_at_the_first_used_unit() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (999_999_999, "999.999999ms"),
            (5_000_000_000, "5s"),
            (61_500_000_000, "1m1.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (-90_000_000_000, "-1m30s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(exact_duration(nanoseconds), expected);
        }
    }
}
