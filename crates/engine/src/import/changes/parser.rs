//! Lines and words: from the text of a Dockerfile to nodes that have a name and arguments.

use serde_json::Value;
use spec::go::quoted;

use super::error::{ChangeError, Result, wrong};

/// The longest line, its end included; the buffer of Go's scanner.
const MAX_LINE: usize = 64 << 10;
/// The depth to which `ONBUILD`s are read into one another. Two of them are refused in any case.
const MAX_DEPTH: usize = 2;

/// A text that was cut into instructions.
#[derive(Debug)]
pub(super) struct Dockerfile {
    pub(super) nodes: Vec<Node>,
    /// The character that takes the meaning from the next one.
    pub(super) escape: char,
}

/// One instruction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The first word, as it was written.
    pub(super) name: String,
    /// The words that begin with `--` behind it.
    pub(super) flags: Vec<String>,
    pub(super) arguments: Vec<String>,
    /// Set if the arguments were a JSON array.
    pub(super) is_json: bool,
    /// The whole line, continued lines joined.
    pub(super) original: String,
}

/// Cuts a text into instructions.
pub(super) fn parse(text: &str) -> Result<Dockerfile> {
    let mut directives = Directives::default();
    let mut nodes = Vec::new();
    let mut lines = Lines { rest: text.strip_prefix('\u{feff}').unwrap_or(text), too_long: false };
    while let Some(raw) = lines.next() {
        let line = raw.trim_end_matches(['\r', '\n']).trim_start();
        directives.look_at(line)?;
        let line = if line.starts_with('#') { "" } else { line };
        let (first, mut continues) = without_continuation(line, directives.escape);
        if !continues && first.is_empty() {
            continue;
        }
        let mut joined = first.to_owned();
        while continues && let Some(raw) = lines.next() {
            let line = raw.trim_end_matches(['\r', '\n']);
            directives.look_at(line)?;
            if line.trim_start().starts_with('#') || line.trim_start().is_empty() {
                continue;
            }
            let (part, goes_on) = without_continuation(line, directives.escape);
            joined.push_str(part);
            continues = goes_on;
        }
        nodes.push(node(&joined, directives.escape, 0)?);
    }
    if nodes.is_empty() {
        return wrong("file with no instructions");
    }
    if lines.too_long {
        let limit = MAX_LINE - 1;
        return wrong(format!("dockerfile line greater than max allowed size of {limit}"));
    }
    Ok(Dockerfile { nodes, escape: directives.escape })
}

/// Lines with their ends.
struct Lines<'a> {
    rest: &'a str,
    too_long: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').map(|at| at + 1);
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        // The last line has to leave room for an end.
        let size = line.len() + usize::from(end.is_none());
        if size > MAX_LINE {
            self.rest = "";
            self.too_long = true;
            return None;
        }
        self.rest = rest;
        Some(line)
    }
}

/// `# name=value` at the very beginning.
struct Directives {
    escape: char,
    seen: Vec<String>,
    done: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', seen: Vec::new(), done: false }
    }
}

impl Directives {
    fn look_at(&mut self, line: &str) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let Some((name, value)) = directive(line) else {
            self.done = true;
            return Ok(());
        };
        if self.seen.contains(&name) {
            return wrong(format!("only one {name} parser directive can be used"));
        }
        if name == "escape" {
            self.escape = match value {
                "`" => '`',
                "\\" => '\\',
                _ => {
                    return wrong(format!("invalid escape token '{value}' does not match ` or \\"));
                }
            };
        }
        self.seen.push(name);
        Ok(())
    }
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.trim_start().split_once('=')?;
    let name = name.trim_end_matches(is_regex_space);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let (name, value) = (name.to_ascii_lowercase(), value.trim_matches(is_regex_space));
    let is_known = matches!(name.as_str(), "syntax" | "escape" | "check");
    (is_name && is_known && !value.is_empty()).then_some((name, value))
}

/// Go's `\s`.
fn is_regex_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

/// Takes the mark off a line that goes on in the next one. An escaped mark is none.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    let marked = line.trim_end_matches([' ', '\t']).strip_suffix(escape);
    match marked {
        Some(part) if !part.ends_with(escape) => (part, true),
        _ => (line, false),
    }
}

/// Tells the characters that separate the words of a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// Cuts a text in two at its first blanks.
fn split_blank(text: &str) -> Option<(&str, &str)> {
    let at = text.find(is_blank)?;
    Some((&text[..at], text[at..].trim_start_matches(is_blank)))
}

fn node(line: &str, escape: char, depth: usize) -> Result<Node> {
    let trimmed = line.trim();
    let (name, rest) = split_blank(trimmed).unwrap_or((trimmed, ""));
    let (rest, flags) = split_flags(rest, escape);
    let rest = rest.trim();
    let (arguments, is_json) = arguments(&name.to_lowercase(), rest, escape, depth)?;
    Ok(Node { name: name.to_owned(), flags, arguments, is_json, original: line.to_owned() })
}

fn arguments(name: &str, rest: &str, escape: char, depth: usize) -> Result<(Vec<String>, bool)> {
    let plain = |words: Vec<String>| Ok((words, false));
    let whole = || if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] };
    match name {
        "cmd" | "entrypoint" | "run" | "shell" => match json(rest)? {
            Some(words) => Ok((words, true)),
            None => plain(whole()),
        },
        "add" | "copy" | "volume" => match json(rest)? {
            Some(words) => Ok((words, true)),
            None => plain(blank_separated(rest)),
        },
        "env" | "label" => plain(pairs(rest, &name.to_uppercase(), escape)?),
        "expose" | "from" => plain(blank_separated(rest)),
        "healthcheck" => {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if end == 0 {
                return plain(Vec::new());
            }
            let mut words = vec![rest[..end].to_owned()];
            let command = rest[end..].trim_start();
            let parsed = json(command)?;
            let is_json = parsed.is_some();
            let text = (!command.is_empty()).then(|| command.to_owned());
            words.extend(parsed.unwrap_or_else(|| text.into_iter().collect()));
            Ok((words, is_json))
        }
        "maintainer" | "stopsignal" | "user" | "workdir" => plain(whole()),
        "arg" => plain(words(rest, escape)),
        "onbuild" if rest.is_empty() || depth >= MAX_DEPTH => plain(Vec::new()),
        "onbuild" => {
            let inner = node(rest, escape, depth + 1)?;
            plain(std::iter::once(inner.name).chain(inner.arguments).collect())
        }
        // A node without a meaning, which has one empty argument.
        _ => plain(vec![String::new()]),
    }
}

/// Takes the flags off the beginning of the arguments.
fn split_flags(rest: &str, escape: char) -> (&str, Vec<String>) {
    let mut flags = Vec::new();
    let mut position = 0;
    loop {
        let left = rest[position..].trim_start();
        position = rest.len() - left.len();
        if !left.starts_with("--") {
            return (left, flags);
        }
        let (word, length) = flag(left, escape);
        position += length;
        match word {
            Some(word) if word == "--" => return (&rest[position..], flags),
            Some(word) => flags.push(word),
            None => {}
        }
    }
}

/// Reads one flag, its quotes and escapes undone; returns it and how long it was.
fn flag(text: &str, escape: char) -> (Option<String>, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut was_quoted = false;
    let mut length = text.len();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match quote {
            None if c.is_whitespace() => {
                length = at;
                break;
            }
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                was_quoted = true;
            }
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(characters.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    ((was_quoted || !word.is_empty()).then_some(word), length)
}

/// Reads a JSON array of texts; `None` if it is none, which makes it a text.
fn json(rest: &str) -> Result<Option<Vec<String>>> {
    let rest = rest.trim_start();
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(rest) else { return Ok(None) };
    let texts = values.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        _ => wrong("when using JSON array syntax, arrays must be comprised of strings only"),
    });
    texts.collect::<Result<_>>().map(Some)
}

fn blank_separated(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        return Vec::new();
    }
    let mut words = Vec::new();
    let mut left = rest;
    while let Some((word, after)) = split_blank(left) {
        words.push(word.to_owned());
        left = after;
    }
    words.push(left.to_owned());
    words
}

/// Reads `name=value …`, or the old form `name value`, to names and values in turn.
fn pairs(rest: &str, instruction: &str, escape: char) -> Result<Vec<String>> {
    let words = words(rest, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        let Some((name, value)) = split_blank(rest) else {
            return wrong(format!("{instruction} must have two arguments"));
        };
        return Ok(vec![name.to_owned(), value.to_owned()]);
    }
    let mut all = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| {
            let word = quoted(&word);
            let problem = "Must be of the form: name=value";
            ChangeError(format!("Syntax error - can't find = in {word}. {problem}"))
        })?;
        all.extend([name.to_owned(), value.to_owned()]);
    }
    Ok(all)
}

/// Cuts at spaces outside of quotes. Quotes and escapes stay for the shell's rules, which are applied later.
fn words(rest: &str, escape: char) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut was_quoted = false;
    let mut characters = rest.chars();
    while let Some(c) = characters.next() {
        match quote {
            None if c.is_whitespace() => {
                if was_quoted || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                was_quoted = false;
                continue;
            }
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                was_quoted = true;
            }
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // At the end of the line it is dropped.
            if let Some(next) = characters.next() {
                word.extend([c, next]);
            }
            continue;
        }
        word.push(c);
    }
    if was_quoted || !word.is_empty() {
        all.push(word);
    }
    all
}
