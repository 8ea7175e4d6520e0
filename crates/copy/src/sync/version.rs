//! Versions in tags, and ranges of them.
//!
//! A version is numbers with dots between them, behind a `v` or not; what is missing counts as 0. What follows a `-`, `_` or `.` and is
//! no number is a suffix (`1.2.3-alpine`, `1.2-rc1`): it says a variant, and nothing of which is newer.

/// The most numbers of a version, and the most digits of each, which a `u64` holds.
const MAX_NUMBERS: usize = 8;
const MAX_DIGITS: usize = 18;
/// The most conditions of a range.
const MAX_CONDITIONS: usize = 32;

/// Numbers, without zeros at their end: `1.0` is `1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u64>);

/// A version as a tag has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) version: Version,
    pub(super) has_suffix: bool,
}

/// A text that is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no range of versions: it is written as \">=1.20 <2\", \"~1.20\", \"^1.2\" or \"1.20.*\""
)]
pub struct RangeError(String);

/// Conditions that a version has to meet, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    AtLeast(Version),
    Above(Version),
    AtMost(Version),
    Below(Version),
    Equal(Version),
    /// These are its first numbers.
    Begins(Vec<u64>),
}

impl Version {
    fn new(mut numbers: Vec<u64>) -> Self {
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Self(numbers)
    }

    /// Returns the first one that does not begin with `numbers`.
    fn after(mut numbers: Vec<u64>) -> Self {
        if let Some(last) = numbers.last_mut() {
            *last += 1;
        }
        Self::new(numbers)
    }
}

impl Tagged {
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let (numbers, rest) = numbers(tag)?;
        let has_suffix = match rest.chars().next() {
            None => false,
            Some('-' | '_' | '.' | '+') => true,
            Some(_) => return None,
        };
        Some(Self { version: Version::new(numbers), has_suffix })
    }
}

/// Reads numbers with dots between them, and returns what follows.
fn numbers(text: &str) -> Option<(Vec<u64>, &str)> {
    let mut rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let mut found = Vec::new();
    loop {
        let end = rest.find(|other: char| !other.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 || end > MAX_DIGITS || found.len() == MAX_NUMBERS {
            return None;
        }
        found.push(rest[..end].parse().ok()?);
        rest = &rest[end..];
        match rest.strip_prefix('.') {
            Some(more) if more.starts_with(|next: char| next.is_ascii_digit()) => rest = more,
            _ => return Some((found, rest)),
        }
    }
}

impl std::str::FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = || RangeError(text.to_owned());
        let separates = |it: char| it == ',' || it.is_whitespace();
        let mut conditions = Vec::new();
        let mut rest = text.trim_start_matches(separates);
        while !rest.is_empty() {
            let version = rest.trim_start_matches(['<', '>', '=', '~', '^']);
            let (operator, version) = (&rest[..rest.len() - version.len()], version.trim_start());
            let end = version.find(separates).unwrap_or(version.len());
            add(&mut conditions, operator, &version[..end]).ok_or_else(wrong)?;
            rest = version[end..].trim_start_matches(separates);
        }
        match conditions.len() {
            1..=MAX_CONDITIONS => Ok(Self(conditions)),
            _ => Err(wrong()),
        }
    }
}

fn add(conditions: &mut Vec<Condition>, operator: &str, text: &str) -> Option<()> {
    let open = text.strip_suffix(".*").or_else(|| text.strip_suffix(".x"));
    let (numbers, "") = numbers(open.unwrap_or(text))? else { return None };
    let version = Version::new(numbers.clone());
    if open.is_some() && !matches!(operator, "" | "=") {
        return None;
    }
    let condition = match operator {
        "" => Condition::Begins(numbers),
        "=" if open.is_some() => Condition::Begins(numbers),
        "=" => Condition::Equal(version),
        ">=" => Condition::AtLeast(version),
        ">" => Condition::Above(version),
        "<=" => Condition::AtMost(version),
        "<" => Condition::Below(version),
        "~" | "^" => {
            let kept = match operator {
                "~" => 2,
                _ => numbers.iter().position(|number| *number > 0).unwrap_or(MAX_NUMBERS) + 1,
            };
            let first = numbers[..kept.min(numbers.len())].to_vec();
            conditions.push(Condition::Below(Version::after(first)));
            Condition::AtLeast(version)
        }
        _ => return None,
    };
    conditions.push(condition);
    Some(())
}

impl Range {
    pub(super) fn holds(&self, version: &Version) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::AtLeast(bound) => version >= bound,
            Condition::Above(bound) => version > bound,
            Condition::AtMost(bound) => version <= bound,
            Condition::Below(bound) => version < bound,
            Condition::Equal(bound) => version == bound,
            Condition::Begins(numbers) => {
                let of = |at: usize| version.0.get(at).copied().unwrap_or(0);
                numbers.iter().enumerate().all(|(at, number)| of(at) == *number)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_versions_or_not() {
        for (tag, expected) in [
            ("1.20", Some((&[1, 20][..], false))),
            ("v1.2", Some((&[1, 2], false))),
            ("1.0.0", Some((&[1], false))),
            ("20240131", Some((&[20_240_131], false))),
            ("1.2.3-alpine", Some((&[1, 2, 3], true))),
            ("1.2.3.Final", Some((&[1, 2, 3], true))),
            ("8_p1", Some((&[8], true))),
            ("latest", None),
            ("v", None),
            ("1.2a", None),
            ("3e2b1c", None),
            ("1234567890123456789", None),
            ("1.2.3.4.5.6.7.8.9", None),
        ] {
            let found = Tagged::parse(tag).map(|tag| (tag.version.0, tag.has_suffix));
            assert_eq!(
                found,
                expected.map(|(numbers, suffix)| (numbers.to_vec(), suffix)),
                "{tag}"
            );
        }
    }

    #[test]
    fn ranges_hold_what_they_say() {
        for (range, inside, outside) in [
            (">=1.20 <2", &["1.20", "v1.20.1", "1.99.7"][..], &["1.19.9", "2", "2.0", "1"][..]),
            (">= 3.12.0, < 3.14", &["3.12", "3.13.9"], &["3.11", "3.14.0"]),
            (">1 <=1.2", &["1.1", "1.2"], &["1", "1.0.0", "1.2.1"]),
            ("=1.2", &["1.2", "1.2.0"], &["1.2.1"]),
            ("1.2", &["1.2", "1.2.9"], &["1.20", "1", "1.3"]),
            ("1.2.*", &["1.2", "1.2.9"], &["1.3"]),
            ("~1.2.3", &["1.2.3", "1.2.9"], &["1.2.2", "1.3"]),
            ("~1", &["1", "1.9"], &["2", "0.9"]),
            ("^1.2.3", &["1.2.3", "1.9"], &["1.2.2", "2"]),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3", "0.2.2"]),
            ("^0", &["0", "0.9"], &["1"]),
        ] {
            let read: Range = range.parse().unwrap();
            for (tags, expected) in [(inside, true), (outside, false)] {
                for tag in tags {
                    let version = Tagged::parse(tag).unwrap().version;
                    assert_eq!(read.holds(&version), expected, "{range}: {tag}");
                }
            }
        }
        for wrong in ["", ">=", "a", "1.2-rc1", "=>1", ">=1.*", "1..2", "1 | 2"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
        assert!("1 ".repeat(33).parse::<Range>().is_err());
    }
}
