//! Go's string literals.

use std::fmt::Write as _;

/// Quotes text as `%q` and `strconv.Quote` do: what does not print is escaped.
pub fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '\x07' => literal.push_str("\\a"),
            '\x08' => literal.push_str("\\b"),
            '\x0b' => literal.push_str("\\v"),
            '\x0c' => literal.push_str("\\f"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            printable if is_printable(printable) => literal.push(printable),
            // Writing to a String cannot fail.
            other => {
                let _ = match u32::from(other) {
                    code if other.is_ascii() => write!(literal, "\\x{code:02x}"),
                    code if code < 0x1_0000 => write!(literal, "\\u{code:04x}"),
                    code => write!(literal, "\\U{code:08x}"),
                };
            }
        }
    }
    literal.push('"');
    literal
}

/// Returns whether a character has a shape, as `unicode.IsPrint` has it: of spaces the ASCII one alone.
///
/// Rust's own escapes know the same categories of Unicode. They also escape a combining mark, which prints in Go, but only
/// where it stands first.
fn is_printable(character: char) -> bool {
    match character {
        ' '..='~' => true,
        _ if character.is_ascii() => false,
        _ => String::from_iter(['a', character]).escape_debug().nth(1) != Some('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped() {
        for (text, expected) in [
            ("", r#""""#),
            ("a 'b' \"c\" \\", r#""a 'b' \"c\" \\""#),
            ("\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            ("\0\x1b\x7f", r#""\x00\x1b\x7f""#),
            (
                "\u{80}\u{a0}\u{ad}\u{200b}\u{feff}\u{2028}",
                r#""\u0080\u00a0\u00ad\u200b\ufeff\u2028""#,
            ),
            ("\u{e000}\u{10ffff}", r#""\ue000\U0010ffff""#),
            ("ä\u{301}漢🐳\u{fffd}", "\"ä\u{301}漢🐳\u{fffd}\""),
            ("\u{301}", "\"\u{301}\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
