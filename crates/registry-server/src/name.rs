//! A repository's name, by the distribution specification's grammar.

use std::fmt;
use std::str::FromStr;

/// The specification leaves the length to the registry; clients count domain and name together up
/// to 255, so nobody can use a longer one.
const MAX_LENGTH: usize = 255;

/// The name of a repository: path components of lower-case letters and digits, joined inside by
/// one `.`, one or two `_`, or any number of `-`.
///
/// A value of this type is safe as a relative path: no component is empty, `.`, `..` or begins
/// with an underscore.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RepositoryName(String);

impl RepositoryName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a repository's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidName;

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let valid = text.len() <= MAX_LENGTH && text.split('/').all(is_component);
        valid.then(|| RepositoryName(text.to_owned())).ok_or(InvalidName)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
pub(crate) fn is_component(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_in_words =
        text.as_bytes().first().is_some_and(is_word) && text.as_bytes().last().is_some_and(is_word);
    ends_in_words
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "a".repeat(255);
        let too_long = "a".repeat(256);
        for (text, valid) in [
            ("", false),
            ("/", false),
            ("/a", false),
            ("a/", false),
            ("a//b", false),
            (".", false),
            ("..", false),
            ("a/../b", false),
            ("a/./b", false),
            ("_tags", false),
            ("a/_uploads", false),
            ("a_", false),
            ("-a", false),
            ("A", false),
            ("a b", false),
            ("a\0b", false),
            ("a\\b", false),
            ("a%2fb", false),
            ("é", false),
            ("a..b", false),
            ("a._b", false),
            ("a___b", false),
            ("a-_b", false),
            (&too_long, false),
            ("a", true),
            ("0", true),
            ("library/alpine", true),
            ("a.b_c__d-e---f", true),
            ("tags/list", true),
            ("blobs/uploads", true),
            (&longest, true),
        ] {
            assert_eq!(text.parse::<RepositoryName>().is_ok(), valid, "{text:?}");
        }
    }
}
