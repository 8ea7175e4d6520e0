//! Floating-point numbers as Go's `strconv` writes them.

/// More digits than any float has, 1074 of them behind its point: what follows are zeros. Rust's own formatting panics at more
/// than 65,535.
const MOST_DIGITS: usize = 1_100;

/// Formats as C's and Go's `%.<digits>g`: at most `digits` significant digits, no trailing zeros, an exponent
/// where the number does not fit.
pub fn significant(value: f64, digits: usize) -> String {
    // The zeros behind the digits that there are would go anyway.
    let digits = digits.clamp(1, MOST_DIGITS);
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

/// Formats as C's and Go's `%.<digits>f`: that many digits behind the point.
pub fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.*}", digits.min(MOST_DIGITS));
    text + &"0".repeat(digits.saturating_sub(MOST_DIGITS))
}

/// Formats as C's and Go's `%.<digits>e`: one digit, that many behind the point, and an exponent.
pub fn scientific(value: f64, digits: usize) -> String {
    let text = format!("{value:.*e}", digits.min(MOST_DIGITS));
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text; // NaN and infinities have no exponent
    };
    let zeros = "0".repeat(digits.saturating_sub(MOST_DIGITS));
    let exponent = two_digit_exponent(exponent.parse().unwrap_or_default());
    format!("{mantissa}{zeros}e{exponent}")
}

/// Writes an exponent as Go and C do: always signed, at least two digits.
pub fn two_digit_exponent(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:02}", exponent.unsigned_abs())
}

fn without_trailing_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn more_digits_than_a_float_has_are_zeros() {
        for digits in [1_100, 1_101, 65_536, 10_000_000] {
            let zeros = "0".repeat(digits - 1);
            assert_eq!(fixed(1.5, digits), format!("1.5{zeros}"));
            assert_eq!(scientific(-15.0, digits), format!("-1.5{zeros}e+01"));
            assert_eq!(significant(1.5, digits), "1.5");
        }
        let smallest = f64::from_bits(1);
        assert_eq!(fixed(smallest, 70_000).trim_end_matches('0'), format!("{smallest:.1074}"));
        assert_eq!(significant(smallest, 70_000).len(), "4.e-324".len() + 750);
    }
}
