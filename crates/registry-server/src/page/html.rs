//! HTML in which only this crate's own text is markup.

use std::fmt::Write as _;

/// A document that is being written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Adds what somebody else has written: as text, also between quotes. Of it no character is shown that moves others:
    /// those that control a terminal, and those that turn the direction of what follows.
    pub(super) fn text(&mut self, text: &str) -> &mut Html {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(' '),
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    self.0.push('\u{fffd}');
                }
                _ if character.is_control() => self.0.push('\u{fffd}'),
                _ => self.0.push(character),
            }
        }
        self
    }

    /// Adds a number of bytes as a person reads it: `3.35 MB`.
    pub(super) fn size(&mut self, bytes: u64) -> &mut Html {
        let mut unit = 1;
        let mut names = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter();
        let mut name = names.next().unwrap_or_default();
        while bytes / unit >= 1000 {
            let Some(next) = names.next() else { break };
            (unit, name) = (unit * 1000, next);
        }
        let hundredths = u128::from(bytes) * 100 / u128::from(unit);
        let written = if unit == 1 {
            write!(self.0, "{bytes} {name}")
        } else {
            write!(self.0, "{}.{:02} {name}", hundredths / 100, hundredths % 100)
        };
        // A string takes everything.
        let _ = written;
        self
    }

    /// Adds a count of things: `1 tag`, `2 tags`.
    pub(super) fn count(&mut self, count: usize, thing: &'static str) -> &mut Html {
        self.text(&count.to_string()).raw(" ").raw(thing);
        if count == 1 { self } else { self.raw("s") }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        let mut html = Html::default();
        html.raw("<b title='").text("'\"><script>&\u{202e}\u{1b}\n").raw("'>");
        let expected = "<b title='&#39;&quot;&gt;&lt;script&gt;&amp;\u{fffd}\u{fffd} '>";
        assert_eq!(html.finish(), expected);
    }

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (3_354_999, "3.35 MB"),
            (u64::MAX, "18446.74 PB"),
        ] {
            let mut html = Html::default();
            html.size(bytes);
            assert_eq!(html.finish(), expected);
        }
    }
}
