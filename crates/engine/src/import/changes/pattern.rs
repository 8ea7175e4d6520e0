//! The patterns of `${name#pattern}` and `${name/pattern/text}`: `*`, `?` and characters.

use super::error::{Result, wrong};

/// The most steps that a match may take: text times pattern.
const MAX_STEPS: usize = 1 << 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Any characters but line ends.
    Star,
    /// One character but a line end.
    Any,
    One(char),
}

/// A pattern, read.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Result<Self> {
        let mut tokens = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                // What ends the substitution had to be escaped; that is not part of the pattern.
                '\\' if matches!(characters.peek(), Some('}' | '/')) => continue,
                '\\' => match characters.next() {
                    Some(c @ ('*' | '?' | '\\')) => Token::One(c),
                    other => {
                        let c = other.unwrap_or(char::REPLACEMENT_CHARACTER);
                        return wrong(format!(
                            "invalid pattern ({text}) in substitution: invalid escape '\\{c}'"
                        ));
                    }
                },
                c => Token::One(c),
            });
        }
        Ok(Self(tokens))
    }

    /// Takes the pattern off the beginning: as much as possible if `greedy`, else as little.
    pub(super) fn trim_start(&self, text: &str, greedy: bool) -> Result<String> {
        let text: Vec<char> = text.chars().collect();
        let end = self.matcher(&text, greedy)?.from(0).unwrap_or(0);
        Ok(text[end..].iter().collect())
    }

    /// Takes the pattern off the end.
    pub(super) fn trim_end(&self, text: &str, greedy: bool) -> Result<String> {
        let text: Vec<char> = text.chars().rev().collect();
        let reversed = Self(self.0.iter().rev().copied().collect());
        let end = reversed.matcher(&text, greedy)?.from(0).unwrap_or(0);
        Ok(text[end..].iter().rev().collect())
    }

    /// Replaces the first match, or all of them.
    pub(super) fn replace(&self, text: &str, replacement: &str, all: bool) -> Result<String> {
        let text: Vec<char> = text.chars().collect();
        let mut matcher = self.matcher(&text, true)?;
        let mut result = String::new();
        let (mut copied, mut at) = (0, 0);
        let mut last_end = None;
        while at <= text.len() {
            let Some(end) = matcher.from(at) else {
                at += 1;
                continue;
            };
            // Nothing right behind a match is no further match.
            if end > at || last_end != Some(at) {
                result.extend(&text[copied..at]);
                result.push_str(replacement);
                copied = end;
                last_end = Some(end);
                if !all {
                    break;
                }
            }
            at = end.max(at + usize::from(end == at));
        }
        result.extend(&text[copied..]);
        Ok(result)
    }

    fn matcher<'a>(&'a self, text: &'a [char], greedy: bool) -> Result<Matcher<'a>> {
        let states = (self.0.len() + 1).saturating_mul(text.len() + 1);
        if states > MAX_STEPS {
            return wrong("the pattern and the value of a substitution are too long");
        }
        Ok(Matcher { tokens: &self.0, text, greedy, failed: vec![false; states] })
    }
}

/// Matches with the choices of a regular expression, but remembers what failed, so that it is never slower than text
/// times pattern.
struct Matcher<'a> {
    tokens: &'a [Token],
    text: &'a [char],
    greedy: bool,
    failed: Vec<bool>,
}

impl Matcher<'_> {
    /// Returns the end of the match that begins at `start`.
    fn from(&mut self, start: usize) -> Option<usize> {
        // The best choice is on top.
        let mut choices = vec![(0, start)];
        while let Some((token, at)) = choices.pop() {
            let state = token * (self.text.len() + 1) + at;
            if self.failed[state] {
                continue;
            }
            let Some(wanted) = self.tokens.get(token) else { return Some(at) };
            // Whoever comes here again had no luck with it.
            self.failed[state] = true;
            let c = self.text.get(at).copied();
            let is_plain = c.is_some_and(|c| c != '\n');
            match *wanted {
                Token::One(expected) if c == Some(expected) => choices.push((token + 1, at + 1)),
                Token::Any if is_plain => choices.push((token + 1, at + 1)),
                Token::Star => {
                    let (less, more) = ((token + 1, at), is_plain.then_some((token, at + 1)));
                    if self.greedy {
                        choices.push(less);
                        choices.extend(more);
                    } else {
                        choices.extend(more);
                        choices.push(less);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
