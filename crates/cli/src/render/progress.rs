//! The progress of a pull or push: bars on a terminal, lines in a pipe.
//!
//! On a terminal every layer has a line of its own, which is drawn again in its place: the cursor goes up to it,
//! the line is erased and written, the cursor goes down again. A message that is about no layer goes below, and
//! ends what was above: a layer that is told of later gets a new line. In a pipe the counts are left out.
//!
//! # Compatibility
//! Words, bars and escape sequences are those of Docker's `jsonmessage`.

use std::collections::HashMap;

use api::message::{Message, ProgressDetail, Units};
use spec::go::{PROGRESS_DIGITS, human_size};

use crate::output::printable;

/// The width that is assumed of a terminal that does not tell.
const UNKNOWN_WIDTH: usize = 200;
/// A terminal must be wider for a bar to fit beside the counts.
const BAR_NEEDS: usize = 110;
/// The characters of a full bar.
const BAR: usize = 50;

/// The kind of output that progress is shown on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Pipe,
    Terminal,
}

/// Turns messages into what is written to standard output.
#[derive(Debug)]
pub(crate) struct Progress {
    target: Target,
    /// The line of each layer, counted from the first.
    lines: HashMap<String, usize>,
}

impl Progress {
    /// Returns a renderer for a terminal or a pipe.
    pub(crate) fn new(is_terminal: bool) -> Progress {
        let target = if is_terminal { Target::Terminal } else { Target::Pipe };
        Progress { target, lines: HashMap::new() }
    }

    /// Returns what to write for a message, on a terminal that is `width` columns wide.
    pub(crate) fn draw(&mut self, message: &Message, width: Option<usize>) -> String {
        if message.aux.is_some() {
            return String::new();
        }
        let width = width.unwrap_or(UNKNOWN_WIDTH);
        let mut text = String::new();
        let id = message.id.as_deref().filter(|id| !id.is_empty());
        let counts = message.progress_detail.is_some() || message.progress.is_some();
        let mut distance = 0;
        match id {
            Some(id) if counts => {
                let known = self.lines.get(id).copied();
                let line = known.unwrap_or(self.lines.len());
                if known.is_none() {
                    self.lines.insert(id.to_owned(), line);
                    if self.target == Target::Terminal {
                        text.push('\n');
                    }
                }
                distance = self.lines.len() - line;
            }
            // The cursor is below all lines now, and what is written moves them: they are history.
            _ => self.lines.clear(),
        }
        if self.target == Target::Terminal && distance > 0 {
            text.extend(["\x1b[", &distance.to_string(), "A"]);
        }
        self.draw_line(message, id, width, &mut text);
        if self.target == Target::Terminal && distance > 0 {
            text.extend(["\x1b[", &distance.to_string(), "B"]);
        }
        text
    }

    fn draw_line(&self, message: &Message, id: Option<&str>, width: usize, text: &mut String) {
        let is_terminal = self.target == Target::Terminal;
        let stream = message.stream.as_deref().filter(|stream| !stream.is_empty());
        let bar = message.progress_detail.map(|detail| bar(detail, width));
        let mut end = "";
        if is_terminal && stream.is_none() && bar.is_some() {
            text.push_str("\x1b[2K\r");
            end = "\r";
        } else if bar.as_deref().is_some_and(|bar| !bar.is_empty()) {
            return;
        }
        let shown = |text| if is_terminal { printable(text) } else { text.into() };
        if let Some(id) = id {
            text.extend([&*shown(id), ": "]);
        }
        let status = &*shown(message.status.as_deref().unwrap_or_default());
        match (bar, message.progress.as_deref(), stream) {
            (Some(bar), _, _) if is_terminal => text.extend([status, " ", &bar, end]),
            (_, Some(bar), _) if !bar.is_empty() => text.extend([status, " ", &shown(bar), end]),
            (_, _, Some(stream)) => text.extend([&shown(stream), end]),
            _ => text.extend([status, end, "\n"]),
        }
    }
}

/// Returns the bar and the counts of a layer.
fn bar(detail: ProgressDetail, width: usize) -> String {
    let size = |bytes: u64| human_size(i64::try_from(bytes).unwrap_or(i64::MAX), PROGRESS_DIGITS);
    let ProgressDetail { current, total, units } = detail;
    if units == Some(Units::Seconds) {
        return format!("{current}/{total} seconds");
    }
    match (current, total) {
        (0, 0) => return String::new(),
        (_, 0) => return format!("{:>8}", size(current)),
        _ => {}
    }
    let done =
        usize::try_from(u128::from(current) * 100 / u128::from(total) / 2).unwrap_or(BAR).min(BAR);
    let bar = if width > BAR_NEEDS {
        format!("[{}>{}] ", "=".repeat(done), " ".repeat(BAR - done))
    } else {
        String::new()
    };
    // More than there is in all: the sum was wrong, and is not shown.
    let of = if current <= total { format!("/{}", size(total)) } else { String::new() };
    format!("{bar}{:>8}{of}", size(current))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws lines of a stream, each to its own text.
    fn draw(is_terminal: bool, width: usize, lines: &[&str]) -> Vec<String> {
        let mut progress = Progress::new(is_terminal);
        let mut drawn = Vec::new();
        for line in lines {
            drawn.push(progress.draw(&serde_json::from_str(line).unwrap(), Some(width)));
        }
        drawn
    }

    const PULL: [&str; 9] = [
        r#"{"status":"Pulling from library/x","id":"latest"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"bbbbbbbbbbbb"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":500000,"total":1000000},"progress":"[=> ] x","id":"aaaaaaaaaaaa"}"#,
        r#"{"status":"Extracting","progressDetail":{"current":2000000},"id":"bbbbbbbbbbbb"}"#,
        r#"{"status":"Pull complete","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
        r#"{"status":"Digest: sha256:00"}"#,
        r#"{"aux":{"Tag":"1"}}"#,
        r#"{"status":"Pull complete","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
    ];

    #[test]
    fn a_pipe_gets_the_lines_without_counts() {
        let expected = [
            "latest: Pulling from library/x\n",
            "aaaaaaaaaaaa: Pulling fs layer\n",
            "bbbbbbbbbbbb: Pulling fs layer\n",
            "",
            "",
            "aaaaaaaaaaaa: Pull complete\n",
            "Digest: sha256:00\n",
            "",
            "aaaaaaaaaaaa: Pull complete\n",
        ];
        assert_eq!(draw(false, 200, &PULL), expected);
    }

    #[test]
    fn a_terminal_gets_every_layer_in_its_line() {
        let expected = [
            "latest: Pulling from library/x\n",
            "\n\x1b[1A\x1b[2K\raaaaaaaaaaaa: Pulling fs layer \r\x1b[1B",
            "\n\x1b[1A\x1b[2K\rbbbbbbbbbbbb: Pulling fs layer \r\x1b[1B",
            "\x1b[2A\x1b[2K\raaaaaaaaaaaa: Downloading [=========================>                         ]    500kB/1MB\r\x1b[2B",
            "\x1b[1A\x1b[2K\rbbbbbbbbbbbb: Extracting      2MB\r\x1b[1B",
            "\x1b[2A\x1b[2K\raaaaaaaaaaaa: Pull complete \r\x1b[2B",
            "Digest: sha256:00\n",
            "",
            "\n\x1b[1A\x1b[2K\raaaaaaaaaaaa: Pull complete \r\x1b[1B",
        ];
        assert_eq!(draw(true, 200, &PULL), expected);
    }

    #[test]
    fn a_status_cannot_steer_the_terminal() {
        let line = [r#"{"status":"a\u001b[2Jb","id":"x\ry"}"#];
        assert_eq!(draw(true, 80, &line), ["x\u{fffd}y: a\u{fffd}[2Jb\n"]);
        assert_eq!(draw(false, 80, &line), ["x\ry: a\x1b[2Jb\n"]);
        let line =
            [r#"{"stream":"a\u202eb\n"}"#, r#"{"status":"a","progress":"\u001b[2J","id":"x"}"#];
        assert_eq!(draw(true, 80, &line)[0], "a\u{fffd}b\n");
        assert!(draw(true, 80, &line)[1].contains("a \u{fffd}[2J"));
    }

    #[test]
    fn bars_fit_the_terminal() {
        for (current, total, width, expected) in [
            (0, 0, 200, ""),
            (0, 100, 111, "[>                                                  ]       0B/100B"),
            (100, 100, 111, "[==================================================>]     100B/100B"),
            (1, 3, 110, "      1B/3B"),
            (7, 3, 80, "      7B"),
            (u64::MAX, u64::MAX, 80, " 9.223EB/9.223EB"),
        ] {
            assert_eq!(
                bar(ProgressDetail::bytes(current, total), width),
                expected,
                "{current}/{total} in {width}"
            );
        }
    }

    #[test]
    fn old_daemons_bars_and_build_output_are_printed_as_they_are() {
        let lines = [
            r#"{"status":"Loading","progress":"[=> ]","id":"a"}"#,
            r#"{"stream":"Loaded image: x\n"}"#,
        ];
        assert_eq!(draw(false, 200, &lines), ["a: Loading [=> ]", "Loaded image: x\n"]);
    }
}
