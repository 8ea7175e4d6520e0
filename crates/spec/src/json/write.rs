//! Writing as Go does, where bytes have to be Docker's.

use serde::Serialize;

/// Writes a value on one line with Go's escapes: `<`, `>` and `&`, which HTML would take for its own, and the two ends of
/// lines that JavaScript has more than others.
pub fn to_go_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        // None of them is part of JSON's own syntax: they stand in strings.
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    Ok(escaped)
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
