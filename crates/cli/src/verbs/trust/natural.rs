//! The order of names in which numbers count as numbers: `v2` comes before `v10`.

use std::cmp::Ordering;

/// Compares two names as docker's lists do.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while let (Some(&one), Some(&other)) = (left.first(), right.first()) {
        let ordering = match (one.is_ascii_digit(), other.is_ascii_digit()) {
            (true, true) => {
                let (number, zeros) = take_number(&mut left);
                let (other, more) = take_number(&mut right);
                number.len().cmp(&other.len()).then(number.cmp(other)).then(zeros.cmp(&more))
            }
            (false, false) => {
                (left, right) = (&left[1..], &right[1..]);
                one.cmp(&other)
            }
            (digit, _) => return if digit { Ordering::Less } else { Ordering::Greater },
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    left.len().cmp(&right.len())
}

/// Takes the digits at the beginning, and returns them without the zeros before them, and how many those are.
fn take_number<'a>(text: &mut &'a [u8]) -> (&'a [u8], usize) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    (&digits[zeros..], zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count() {
        let sorted =
            ["", "1", "01", "2", "10", "10a", "a", "a1", "a2b", "a10", "b", "v1.2", "v1.10"];
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
    }
}
