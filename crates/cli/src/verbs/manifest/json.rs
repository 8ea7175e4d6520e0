//! JSON laid out as Go's `json.Indent` does it, every token as it was.

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

#[cfg(test)]
mod tests {
    use super::*;

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
