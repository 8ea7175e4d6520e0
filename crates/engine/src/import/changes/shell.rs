//! Quotes, escapes and variables in a word, by the shell's rules as BuildKit has them.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use spec::go::quoted;

use super::error::{ChangeError, Result, wrong};
use super::pattern::Pattern;

/// The depth to which a `${…}` may be in the word of another. dockerd has no bound.
const MAX_DEPTH: usize = 64;

/// The variables by their names.
#[derive(Debug)]
pub(super) struct Environment(HashMap<String, String>);

impl Environment {
    /// Reads `name=value` lines; of two with one name the later one counts.
    pub(super) fn new(lines: &[String]) -> Self {
        let pairs = lines.iter().map(|line| line.split_once('=').unwrap_or((line, "")));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Returns what a word means.
pub(super) fn word(text: &str, environment: &Environment, escape: char) -> Result<String> {
    process(text, environment, escape).map(|(word, _)| word)
}

/// Returns the words that a word means once its variables are there: their spaces separate, quoted ones do not.
pub(super) fn words(text: &str, environment: &Environment, escape: char) -> Result<Vec<String>> {
    process(text, environment, escape).map(|(_, words)| words)
}

fn process(text: &str, environment: &Environment, escape: char) -> Result<(String, Vec<String>)> {
    let mut lexer = Lexer { rest: text.chars().peekable(), environment, escape, depth: 0 };
    lexer.until(None, false).map_err(|ChangeError(problem)| {
        ChangeError(format!("failed to process {}: {problem}", quoted(text)))
    })
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    environment: &'a Environment,
    escape: char,
    depth: usize,
}

/// Words that are being collected.
#[derive(Default)]
struct Words {
    all: Vec<String>,
    current: String,
    in_word: bool,
}

impl Words {
    fn add(&mut self, c: char) {
        if !c.is_whitespace() {
            self.add_raw(c);
        } else if self.in_word && !self.current.is_empty() {
            self.all.push(std::mem::take(&mut self.current));
            self.in_word = false;
        }
    }

    fn add_raw(&mut self, c: char) {
        self.current.push(c);
        self.in_word = true;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.all.push(self.current);
        }
        self.all
    }
}

impl Lexer<'_> {
    /// Reads up to `stop`, or to the end. `keeps_escapes` leaves the escapes of a pattern to the pattern.
    fn until(&mut self, stop: Option<char>, keeps_escapes: bool) -> Result<(String, Vec<String>)> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.rest.next() {
            if Some(c) == stop {
                return Ok((result, words.finish()));
            }
            match c {
                '\'' | '"' => {
                    let text = if c == '"' {
                        self.double_quoted(keeps_escapes)?
                    } else {
                        self.single_quoted()?
                    };
                    words.current.push_str(&text);
                    words.in_word = true;
                    result.push_str(&text);
                }
                '$' => {
                    let text = self.variable()?;
                    text.chars().for_each(|c| words.add(c));
                    result.push_str(&text);
                }
                // As BuildKit, which looks for here-documents: blanks behind `<<` do not separate.
                '<' if self.rest.peek() == Some(&'<') => {
                    let mut text = String::from(c);
                    text.extend(self.rest.next());
                    while let Some(c) = self.rest.next_if(|c| matches!(c, '\t' | '\r' | ' ')) {
                        text.push(c);
                    }
                    words.current.push_str(&text);
                    words.in_word = true;
                    result.push_str(&text);
                }
                c if c == self.escape => {
                    if keeps_escapes {
                        words.add_raw(c);
                        result.push(c);
                    }
                    if let Some(c) = self.rest.next() {
                        words.add_raw(c);
                        result.push(c);
                    }
                }
                c => {
                    words.add(c);
                    result.push(c);
                }
            }
        }
        match stop {
            None => Ok((result, words.finish())),
            Some(stop) => {
                wrong(format!("unexpected end of statement while looking for matching {stop}"))
            }
        }
    }

    fn single_quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        for c in self.rest.by_ref() {
            if c == '\'' {
                return Ok(text);
            }
            text.push(c);
        }
        wrong("unexpected end of statement while looking for matching single-quote")
    }

    fn double_quoted(&mut self, keeps_escapes: bool) -> Result<String> {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                '"' => return Ok(text),
                '$' => text.push_str(&self.variable()?),
                c if c == self.escape => {
                    if keeps_escapes {
                        text.push(c);
                    }
                    let escape = self.escape;
                    match self.rest.peek() {
                        None => {}
                        Some(&next) if next == '"' || next == '$' || next == escape => {
                            text.extend(self.rest.next());
                        }
                        // Before any other character it is one itself.
                        Some(_) => text.push(c),
                    }
                }
                c => text.push(c),
            }
        }
        wrong("unexpected end of statement while looking for matching double-quote")
    }

    /// Reads what is behind a `$`.
    fn variable(&mut self) -> Result<String> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            let value = if name.is_empty() { Some("$") } else { self.value(&name) };
            return Ok(value.unwrap_or_default().to_owned());
        }
        match self.rest.peek() {
            None => return wrong("syntax error: missing '}'"),
            Some('{' | '}' | ':') => return wrong("syntax error: bad substitution"),
            Some(_) => {}
        }
        if self.depth == MAX_DEPTH {
            return wrong("syntax error: substitutions are nested too deep");
        }
        self.depth += 1;
        let value = self.braced();
        self.depth -= 1;
        value
    }

    /// Reads what is behind `${`.
    fn braced(&mut self) -> Result<String> {
        let name = self.name();
        let value = self.value(&name).map(str::to_owned);
        let modifier = self.rest.next();
        match modifier {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let modifier = self.rest.next();
                match modifier {
                    Some(c @ ('-' | '+' | '?')) => {
                        let word = self.inner('}', false)?;
                        let value = value.filter(|value| !value.is_empty());
                        let is_set = self.value(&name).is_some();
                        substitute(c, &name, value, &word, is_set)
                    }
                    Some('#' | '%') => unsupported(&shown(Some(':'), modifier)),
                    _ => {
                        self.inner('}', false)?;
                        unsupported(&shown(Some(':'), modifier))
                    }
                }
            }
            Some(c @ ('+' | '-' | '?')) => {
                let word = self.inner('}', false)?;
                // Without the colon an empty value is one.
                substitute(c, &name, value, &word, false)
            }
            Some(c @ ('#' | '%')) => {
                let word = self.inner('}', true)?;
                let (greedy, word) = match word.strip_prefix(c) {
                    Some(rest) => (true, rest),
                    None => (false, word.as_str()),
                };
                let pattern = Pattern::new(word)?;
                let value = value.unwrap_or_default();
                if c == '#' {
                    pattern.trim_start(&value, greedy)
                } else {
                    pattern.trim_end(&value, greedy)
                }
            }
            Some('/') => {
                let all = self.rest.next_if_eq(&'/').is_some();
                let pattern = self.inner('/', true)?;
                let replacement = self.inner('}', true)?;
                Pattern::new(&pattern)?.replace(&value.unwrap_or_default(), &replacement, all)
            }
            other => unsupported(&shown(None, other)),
        }
    }

    /// Reads the word of a substitution.
    fn inner(&mut self, stop: char, keeps_escapes: bool) -> Result<String> {
        match self.until(Some(stop), keeps_escapes) {
            Ok((word, _)) => Ok(word),
            Err(_) if self.rest.peek().is_none() && stop == '/' => {
                wrong("syntax error: missing '/' in ${}")
            }
            Err(_) if self.rest.peek().is_none() => wrong("syntax error: missing '}'"),
            Err(error) => Err(error),
        }
    }

    /// Reads a name: a word, a number, or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.rest.peek().is_some_and(|c| c.is_numeric()) {
            while let Some(c) = self.rest.next_if(|c| c.is_numeric()) {
                name.push(c);
            }
            return name;
        }
        let is_special = |c: &char| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!');
        if let Some(c) = self.rest.next_if(is_special) {
            return c.to_string();
        }
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.environment.0.get(name).map(String::as_str)
    }
}

/// `${name-word}` and its kin. `value` is what counts as set; `is_empty` tells "empty" from "unset".
fn substitute(
    modifier: char,
    name: &str,
    value: Option<String>,
    word: &str,
    is_empty: bool,
) -> Result<String> {
    match (modifier, value) {
        ('-', None) | ('+', Some(_)) => Ok(word.to_owned()),
        ('+', None) => Ok(String::new()),
        ('?', None) => {
            let default =
                if is_empty { "is not allowed to be empty" } else { "is not allowed to be unset" };
            wrong(format!("{name}: {}", if word.is_empty() { default } else { word }))
        }
        (_, value) => Ok(value.unwrap_or_default()),
    }
}

fn unsupported(modifier: &str) -> Result<String> {
    wrong(format!("unsupported modifier ({modifier}) in substitution"))
}

/// A modifier for a message; the end of the text is what Go makes of it.
fn shown(first: Option<char>, second: Option<char>) -> String {
    first.into_iter().chain([second.unwrap_or(char::REPLACEMENT_CHARACTER)]).collect()
}
