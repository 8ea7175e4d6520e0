//! Numbers of things, in words.

use std::fmt::Display;

/// Returns a number with what is counted: `1 image`, `2 images`. What has a plural of its own is given as `one/several`.
pub fn counted(count: impl TryInto<u64> + Copy + Display, noun: &str) -> String {
    let is_one = count.try_into().is_ok_and(|count: u64| count == 1);
    match noun.split_once('/') {
        Some((one, several)) => format!("{count} {}", if is_one { one } else { several }),
        None if is_one => format!("{count} {noun}"),
        None => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_from_none_and_many() {
        let told: Vec<String> = (0..3_usize).map(|count| counted(count, "image")).collect();
        assert_eq!(told, ["0 images", "1 image", "2 images"]);
        assert_eq!(counted(1_u64, "entry/entries"), "1 entry");
        assert_eq!(counted(7, "entry/entries"), "7 entries");
    }
}
