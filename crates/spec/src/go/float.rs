//! Floating-point numbers as Go's `strconv` writes them.

/// Formats as C's and Go's `%.<digits>g`: at most `digits` significant digits, no trailing zeros, an exponent
/// where the number does not fit.
pub fn significant(value: f64, digits: usize) -> String {
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
}
