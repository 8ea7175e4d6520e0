//! Go's patterns of paths.

/// A pattern that does not parse: Go's `path.ErrBadPattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct GlobError;

/// A pattern of Go's `path.Match`: `*`, `?`, `[a-z]`, `[^a]`, `\x`; none of them matches a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    AnyRun,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Reads a pattern; a bad one is found even where nothing would be matched against it.
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        let bad = || GlobError;
        let mut chars = pattern.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::AnyRun,
                '?' => Token::Any,
                '\\' => Token::Char(chars.next().ok_or_else(bad)?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.peek() != Some(&']') {
                        let low = class_char(&mut chars).ok_or_else(bad)?;
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => class_char(&mut chars).ok_or_else(bad)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    chars.next();
                    Token::Class { negated, ranges }
                }
                c => Token::Char(c),
            });
        }
        Ok(Self(tokens))
    }

    /// Returns whether the pattern matches all of a text.
    pub fn matches(&self, text: &str) -> bool {
        // Without recursion: on a mismatch, the last `*` takes one character more.
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(token), text.get(at)) {
                (None, None) => return true,
                (Some(Token::AnyRun), _) => {
                    retry = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                (Some(single), Some(c)) if single.matches(*c) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((after, from)) if text.get(from).is_some_and(|c| *c != '/') => {
                    retry = Some((after, from + 1));
                    (token, at) = (after, from + 1);
                }
                _ => return false,
            }
        }
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '\\' => chars.next(),
        '-' | ']' => None,
        c => Some(c),
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Char(expected) => *expected == c,
            Self::Any | Self::AnyRun => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_gos_do() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "busybox", true),
            ("*", "a/b", false),
            ("*box*", "busybox:latest", true),
            ("my/*", "my/bb:one", true),
            ("my/*", "my/a/b", false),
            ("b?x", "box", true),
            ("b?x", "b/x", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[]a]", "]", false),
            (r"\*", "*", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            let matched = Glob::parse(pattern).is_ok_and(|glob| glob.matches(text));
            assert_eq!(matched, expected, "{pattern} {text}");
        }
        for bad in ["[", "[a", "[a-", r"\", "[-]"] {
            assert_eq!(Glob::parse(bad).expect_err(bad), GlobError);
        }
        // A pattern that would take a backtracking matcher for ever.
        assert!(
            !Glob::parse(&"a*".repeat(60))
                .unwrap()
                .matches(&format!("{}b", "a".repeat(120)).repeat(1).replace('b', "/"))
        );
    }
}
