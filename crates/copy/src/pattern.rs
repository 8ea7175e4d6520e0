//! Patterns of tags, as a shell has them for files.

use std::str::FromStr;

/// A pattern: `*` stands for any text, `?` for a character, `[a-c]` and `[!a-c]` for one of some, or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Character(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern {0:?}: a `[` is not closed")]
pub struct PatternError(String);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            tokens.push(match first {
                '*' => Token::Any,
                '?' => Token::One,
                '[' => {
                    let (set, after) = set(rest).ok_or_else(|| PatternError(text.to_owned()))?;
                    rest = after;
                    set
                }
                other => Token::Character(other),
            });
        }
        Ok(Self(tokens))
    }
}

/// Reads a set behind its bracket. A bracket that closes it may be its first member.
fn set(text: &str) -> Option<(Token, &str)> {
    let (negated, body) = match text.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    let first = body.chars().next()?.len_utf8();
    let end = first + body.get(first..)?.find(']')?;
    let members: Vec<char> = body[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut rest = &members[..];
    while let Some((&low, tail)) = rest.split_first() {
        let (high, tail) = match tail {
            ['-', high, tail @ ..] => (*high, tail),
            tail => (low, tail),
        };
        ranges.push((low, high));
        rest = tail;
    }
    Some((Token::Set { negated, ranges }, &body[end + 1..]))
}

impl Pattern {
    /// Says whether all of a text fits.
    pub fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut place) = (0, 0);
        // The last `*`, and the text behind what it stands for so far: only that one is ever widened.
        let mut widened: Option<(usize, usize)> = None;
        loop {
            match self.0.get(token) {
                Some(Token::Any) => {
                    widened = Some((token, place));
                    token += 1;
                    continue;
                }
                None if place == text.len() => return true,
                Some(one) if text.get(place).is_some_and(|&found| one.takes(found)) => {
                    (token, place) = (token + 1, place + 1);
                    continue;
                }
                _ => {}
            }
            let Some((star, start)) = widened.filter(|(_, start)| *start < text.len()) else {
                return false;
            };
            widened = Some((star, start + 1));
            (token, place) = (star + 1, start + 1);
        }
    }
}

impl Token {
    fn takes(&self, found: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Character(wanted) => *wanted == found,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&found)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("1.*", "1.27", true),
            ("1.*", "11.2", false),
            ("*-alpine", "3.20-alpine-alpine", true),
            ("*-alpine", "alpine", false),
            ("v?", "v1", true),
            ("v?", "v10", false),
            ("[0-9].*", "7.1", true),
            ("[0-9].*", "x.1", false),
            ("[!l]*", "latest", false),
            ("[!l]*", "edge", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("", "", true),
            ("", "a", false),
            ("**a", "ba", true),
        ] {
            let found = pattern.parse::<Pattern>().unwrap().fits(text);
            assert_eq!(found, expected, "{pattern} {text}");
        }
        for wrong in ["[", "a[]", "[!]", "[]"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern: Pattern = "*a".repeat(60).parse().unwrap();
        assert!(!pattern.fits(&"a".repeat(59)));
        assert!(!pattern.fits(&("a".repeat(4000) + "b")));
    }
}
