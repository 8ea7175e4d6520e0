//! JSON laid out as Go does it: by `json.Indent` every token as it was, and within another document by `json.Marshal`.

use std::fmt::Write as _;

/// Lays a document out, `step` a level. What is no JSON comes out in some form.
pub(super) fn indent(document: &str, step: &str) -> String {
    let mut text = String::with_capacity(document.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        (0..depth).for_each(|_| text.push_str(step));
    };
    for c in document.chars() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        let closes = matches!(c, ']' | '}');
        // What is empty stays on its line.
        if opened && !closes {
            depth += 1;
            line(&mut text, depth);
        } else if closes && !opened {
            depth = depth.saturating_sub(1);
            line(&mut text, depth);
        }
        opened = false;
        text.push(c);
        match c {
            '"' => in_string = true,
            '[' | '{' => opened = true,
            ',' => line(&mut text, depth),
            ':' => text.push(' '),
            _ => {}
        }
    }
    text
}

/// Puts a document into one line without spaces, and escapes in its texts what Go escapes.
pub(super) fn compact(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in document.chars() {
        match c {
            '"' if !escaped => in_string = !in_string,
            ' ' | '\t' | '\r' | '\n' if !in_string => continue,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
                continue;
            }
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_what_the_document_had() {
        for (document, expected) in [
            ("{ }\n", "{}"),
            ("[1,\t2 ]", "[1,2]"),
            (r#"{"a b" : "c \" d\\", "e":" "}"#, r#"{"a b":"c \" d\\","e":" "}"#),
            (r#"["<&>"]"#, r#"["\u003c\u0026\u003e"]"#),
        ] {
            assert_eq!(compact(document), expected, "{document}");
        }
    }

    #[test]
    fn tokens_stay_and_spaces_do_not() {
        for (document, expected) in [
            ("{}", "{}"),
            ("[ ]", "[]"),
            (r#"{"a" : [1,2 ],"b":{ }}"#, "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t],\n\t\"b\": {}\n}"),
            (r#"["a,b: {\"x\\"]"#, "[\n\t\"a,b: {\\\"x\\\\\"\n]"),
            ("1.50", "1.50"),
        ] {
            assert_eq!(indent(document, "\t"), expected, "{document}");
        }
    }
}
