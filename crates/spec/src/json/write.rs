//! Writing as Go does, where bytes have to be Docker's.

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

/// Writes a value on one line with Go's escapes: `<`, `>` and `&`, which HTML would take for its own, and the two ends of
/// lines that JavaScript has more than others.
pub fn to_go_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(escaped(&serde_json::to_string(value)?))
}

/// Writes a value as Go's `MarshalIndent` does with Docker's three blanks.
pub(crate) fn to_pretty_go_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"   ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    // JSON is text.
    Ok(escaped(&String::from_utf8_lossy(&bytes)))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        escape_html(character, &mut escaped);
    }
    escaped
}

/// Writes a character of JSON. Those that are escaped are no part of JSON's own syntax: they stand in strings.
pub(super) fn escape_html(character: char, into: &mut String) {
    match character {
        '<' => into.push_str("\\u003c"),
        '>' => into.push_str("\\u003e"),
        '&' => into.push_str("\\u0026"),
        '\u{2028}' => into.push_str("\\u2028"),
        '\u{2029}' => into.push_str("\\u2029"),
        other => into.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_gos() {
        for (value, expected) in [
            ("a <b> & c", r#""a \u003cb\u003e \u0026 c""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("\"\\\n\u{1}ä", r#""\"\\\n\u0001ä""#),
        ] {
            assert_eq!(to_go_json(&value).unwrap(), expected);
        }
        assert_eq!(to_go_json(&[(1, "<")]).unwrap(), r#"[[1,"\u003c"]]"#);
    }
}
