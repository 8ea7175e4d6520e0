//! Go's `time.Duration`: nanoseconds, read and written as `1h2m3.5s`.

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
}
