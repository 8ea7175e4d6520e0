//! The only place that writes to standard output and standard error.
//!
//! Text of images, registries and daemons may hold characters that steer a terminal: they do not reach one. A pipe or a
//! file gets every byte as it is.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::OnceLock;

use crate::error::CliError;
use crate::terminal::{warns_terminal, writes_terminal};

/// The substitute of a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(shown(text, writes_terminal()).as_bytes())
}

/// Writes text and a line end to standard output.
pub(crate) fn print_line(text: &str) -> Result<(), CliError> {
    print(&format!("{text}\n"))
}

/// Writes text with the program's own colours and movements of the cursor to standard output. What comes from elsewhere
/// must have gone through [`printable`] before.
pub(crate) fn print_drawn(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// Writes bytes that are no text to standard output, at once.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(failure)
}

/// Writes a document as it is to standard output; a terminal gets it as text.
pub(crate) fn print_document(bytes: &[u8]) -> Result<(), CliError> {
    if writes_terminal() { print(&String::from_utf8_lossy(bytes)) } else { print_bytes(bytes) }
}

/// Writes text to standard error. Where that fails there is nobody left to tell.
pub(crate) fn warn(text: &str) {
    warn_drawn(&shown(text, warns_terminal()));
}

/// Writes text and a line end to standard error.
pub(crate) fn warn_line(text: &str) {
    warn(&format!("{text}\n"));
}

/// Writes advice to standard error: never where the output of a command goes.
pub(crate) fn hint(text: &str) {
    warn_line(&format!("hint: {text}"));
}

/// Writes text with the program's own colours and movements of the cursor to standard error, as [`print_drawn`].
pub(crate) fn warn_drawn(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Standard error for lines of a log.
#[derive(Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        warn(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns text without the characters that could move the cursor, change the terminal, or show text in another order
/// than it has. Line ends and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_harmful) {
        Cow::Owned(text.replace(is_harmful, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Says whether a character steers: those of C0 and C1, DEL, and the marks of the bidirectional algorithm.
fn is_harmful(character: char) -> bool {
    let is_direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    is_direction || character.is_control() && !matches!(character, '\n' | '\t')
}

/// Returns text as it is written to a terminal or to anything else.
fn shown(text: &str, is_terminal: bool) -> Cow<'_, str> {
    static STYLES: OnceLock<Vec<String>> = OnceLock::new();
    if !is_terminal || !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let styles = STYLES.get_or_init(|| {
        std::env::args_os().flat_map(|word| styles(&word.to_string_lossy())).collect()
    });
    Cow::Owned(printable_but(text, styles))
}

/// Returns text as [`printable`] does, but with these sequences in it.
fn printable_but(text: &str, kept: &[String]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let style = kept.iter().find(|style| rest.starts_with(style.as_str()));
        let length = match style {
            Some(style) => {
                shown.push_str(style);
                style.len()
            }
            // On a terminal one line end is as good as the other.
            None if rest.starts_with("\r\n") => 1,
            None => {
                shown.push(if is_harmful(character) { REPLACEMENT } else { character });
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    shown
}

/// Returns the colours that a word of the command line holds: who writes `--format` with colours in it wants to see them.
fn styles(word: &str) -> Vec<String> {
    let word = ["\\x1b", "\\u001b", "\\033"]
        .iter()
        .fold(word.to_owned(), |word, escape| word.replace(escape, "\x1b"));
    let sequences = word.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then(|| format!("\x1b[{}m", &rest[..end]))
    });
    sequences.collect()
}

fn failure(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        CliError::BrokenPipe
    } else {
        CliError::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_steer_are_not_shown() {
        for (text, expected) in [
            ("plain \u{e9}\n\ttext \u{5e9}\u{5dc}", "plain \u{e9}\n\ttext \u{5e9}\u{5dc}"),
            ("\x1b[2J\r\x07\x7f\u{9b}x", "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}x"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{61c}", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(printable(text), expected);
            assert_eq!(printable_but(text, &[]), expected);
        }
        assert_eq!(printable_but("one\r\ntwo\rx", &[]), "one\ntwo\u{fffd}x");
    }

    #[test]
    fn colours_of_the_command_line_are() {
        let own = "{{.ID}} \x1b[32;1mok\x1b[0m {{\"\\x1b[4m\"}} \\033[7mx \x1b[2J \x1b[";
        let styles = styles(own);
        assert_eq!(styles, ["\x1b[32;1m", "\x1b[0m", "\x1b[4m", "\x1b[7m"]);
        let text = "\x1b[32;1mgood\x1b[0m \x1b[31mbad\x1b[2J";
        assert_eq!(
            printable_but(text, &styles),
            "\x1b[32;1mgood\x1b[0m \u{fffd}[31mbad\u{fffd}[2J"
        );
    }

    #[test]
    fn a_pipe_gets_what_there_is() {
        let text = "\x1b[2J\r\n\u{202e}";
        assert_eq!(shown(text, false), text);
        assert_eq!(shown(text, true), "\u{fffd}[2J\n\u{fffd}");
    }
}
