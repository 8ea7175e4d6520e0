//! Go's `time.Duration`: nanoseconds, read and written as `1h2m3.5s`.

use super::quote::quoted;

/// A text that is no duration, in the words of `time.ParseDuration`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers and units by turns, or more than 64 bits hold.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {}", quoted(.0))]
    MissingUnit(String),
    /// A unit that is none.
    #[error("time: unknown unit {} in duration {}", quoted(unit), quoted(text))]
    UnknownUnit {
        /// Letters of the unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Reads a duration as `time.ParseDuration` does, to nanoseconds: `1h15m30.918s`, `-1.5ms`, `0`.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    parse(text, short_unit)
}

/// As [`parse_duration`], also with days of 24 hours and weeks of seven days: `30d`, `1w2d12h`.
pub fn parse_long_duration(text: &str) -> Result<i64, DurationError> {
    parse(text, |unit| match unit {
        "d" => Some(24 * HOUR),
        "w" => Some(7 * 24 * HOUR),
        unit => short_unit(unit),
    })
}

/// An hour in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

fn short_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => HOUR / 60,
        "h" => HOUR,
        _ => return None,
    })
}

fn parse(text: &str, scale_of: impl Fn(&str) -> Option<u64>) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (is_negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let scale = scale_of(unit).ok_or_else(|| {
            let (unit, text) = (unit.to_owned(), text.to_owned());
            DurationError::UnknownUnit { unit, text }
        })?;
        let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() };
        let part = whole.and_then(|whole| whole.checked_mul(scale));
        let part = part.and_then(|part| part.checked_add(fraction_of(fraction, scale)));
        let sum = part.and_then(|part| total.checked_add(part));
        // The least number has no positive twin.
        total = sum.filter(|sum| *sum <= i64::MIN.unsigned_abs()).ok_or_else(invalid)?;
        rest = after;
    }
    if is_negative {
        Ok(0_i64.wrapping_sub_unsigned(total))
    } else {
        i64::try_from(total).map_err(|_| invalid())
    }
}

/// Splits the digits off that a text begins with.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len())
}

/// Returns the digits behind the point times `scale`; what is smaller than one is cut off.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    // More digits than these make no difference to any unit.
    let digits = &digits[..digits.len().min(18)];
    let divisor = 10_u128.pow(u32::try_from(digits.len()).unwrap_or_default());
    let value = digits.parse::<u128>().unwrap_or_default() * u128::from(scale) / divisor;
    u64::try_from(value).unwrap_or_default()
}

/// Returns a duration as Go's `time.Duration` prints: `1h2m3.5s`, `1.5ms`, `0s`.
pub fn duration(nanoseconds: i64) -> String {
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
            assert_eq!(duration(nanoseconds), expected);
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("1h15m30.918s", Ok(4_530_918_000_000)),
            ("-1.5ms", Ok(-1_500_000)),
            (".5s", Ok(500_000_000)),
            ("1.s", Ok(1_000_000_000)),
            ("1us1\u{b5}s1\u{3bc}s", Ok(3_000)),
            ("0.9ns", Ok(0)),
            ("0.3333333333333333333h", Ok(1_200_000_000_000 - 1)),
            ("9223372036854775807ns", Ok(i64::MAX)),
            ("-9223372036854775808ns", Ok(i64::MIN)),
            ("9223372036854775808ns", Err("time: invalid duration \"9223372036854775808ns\"")),
            ("2562047h48m", Err("time: invalid duration \"2562047h48m\"")),
            ("", Err("time: invalid duration \"\"")),
            ("-", Err("time: invalid duration \"-\"")),
            (".s", Err("time: invalid duration \".s\"")),
            ("x", Err("time: invalid duration \"x\"")),
            ("3", Err("time: missing unit in duration \"3\"")),
            ("3d", Err("time: unknown unit \"d\" in duration \"3d\"")),
        ] {
            let read = parse_duration(text).map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn long_durations_have_days_and_weeks() {
        for (text, expected) in [
            ("30d", Ok(30 * 24 * 3600)),
            ("1w2d12h", Ok((9 * 24 + 12) * 3600)),
            ("0.5d", Ok(12 * 3600)),
            ("90s", Ok(90)),
            ("1y", Err("time: unknown unit \"y\" in duration \"1y\"")),
            ("30", Err("time: missing unit in duration \"30\"")),
            ("99999w", Err("time: invalid duration \"99999w\"")),
        ] {
            let read = parse_long_duration(text).map_err(|error| error.to_string());
            let expected = expected.map(|seconds: i64| seconds * 1_000_000_000);
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        }
    }
}
