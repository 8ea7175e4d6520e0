//! Values and raw text as Go's `encoding/json` writes them.

use std::fmt::Write as _;

use super::value::{Marshal, Structure, Value};

/// The way in which `<`, `>` and `&` are written: as they are, or as `\u003c` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Html {
    Plain,
    Escaped,
}

/// Returns a value as JSON on one line.
pub fn encode(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, Html::Plain);
    text
}

fn write(text: &mut String, value: &Value, html: Html) {
    match value {
        Value::Missing | Value::Nil | Value::List(None) | Value::Map(None, _) => {
            text.push_str("null");
        }
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) | Value::Duration(value) => {
            let _ = write!(text, "{value}"); // Writing to a String cannot fail.
        }
        Value::Float(value) => text.push_str(&number(*value)),
        Value::Number(number) => text.push_str(number),
        Value::Text(value) | Value::Time(value) => write_string(text, value, html),
        Value::List(Some(items)) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(text, index);
                write(text, item, html);
            }
            text.push(']');
        }
        Value::Map(Some(members), _) => {
            text.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                separate(text, index);
                write_member(text, key, member, html);
            }
            text.push('}');
        }
        Value::Structure(structure) => write_structure(text, structure, html),
    }
}

fn write_structure(text: &mut String, structure: &Structure, html: Html) {
    let mut members = Vec::new();
    collect(structure, &mut members);
    let html = if structure.marshal == Marshal::Row { Html::Escaped } else { html };
    if structure.marshal == Marshal::Row {
        members.sort_by_key(|member| member.0);
    }
    text.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        separate(text, index);
        write_member(text, key, value, html);
    }
    text.push('}');
}

/// Lists the members of a struct, those of embedded structs in their place.
fn collect<'a>(structure: &'a Structure, members: &mut Vec<(&'a str, &'a Value)>) {
    for field in structure.fields.iter() {
        match &field.value {
            Value::Structure(inner) if field.embedded => collect(inner, members),
            value if field.omit_empty && value.is_empty() => {}
            value => members.push((&field.key, value)),
        }
    }
}

fn write_member(text: &mut String, key: &str, value: &Value, html: Html) {
    write_string(text, key, html);
    text.push(':');
    write(text, value, html);
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

fn write_string(text: &mut String, value: &str, html: Html) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\x08' => text.push_str("\\b"),
            '\x0c' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // U+2028 and U+2029 end lines in JavaScript.
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => write_code(text, character),
            '<' | '>' | '&' if html == Html::Escaped => write_code(text, character),
            other => text.push(other),
        }
    }
    text.push('"');
}

fn write_code(text: &mut String, character: char) {
    let _ = write!(text, "\\u{:04x}", u32::from(character)); // Writing to a String cannot fail.
}

/// Returns a float as JavaScript writes numbers.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let scientific = format!("{value:e}");
        return match scientific.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                format!("{mantissa}e+{exponent}")
            }
            _ => scientific,
        };
    }
    format!("{value}")
}

/// Returns JSON text without the spaces between its tokens. Keys keep their order, strings and numbers their
/// spelling. The text must be valid JSON.
pub fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut in_string = InString::default();
    for character in json.chars() {
        if in_string.holds(character) || !character.is_ascii_whitespace() {
            text.push(character);
        }
    }
    text
}

/// Returns JSON text with a line for each member, indented by four spaces a level; empty objects and arrays stay
/// on their line. Keys keep their order, strings and numbers their spelling. The text must be valid JSON.
pub fn indent(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut in_string = InString::default();
    let mut depth = 0_usize;
    let mut opened = false;
    for character in json.chars() {
        if in_string.holds(character) {
            open_line(&mut text, &mut opened, depth);
            text.push(character);
            continue;
        }
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                open_line(&mut text, &mut opened, depth);
                text.push(character);
                depth += 1;
                opened = true;
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if opened {
                    opened = false;
                } else {
                    line(&mut text, depth);
                }
                text.push(character);
            }
            ',' => {
                text.push(',');
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            other => {
                open_line(&mut text, &mut opened, depth);
                text.push(other);
            }
        }
    }
    text
}

/// Ends the line of an opening bracket when something follows in it.
fn open_line(text: &mut String, opened: &mut bool, depth: usize) {
    if std::mem::take(opened) {
        line(text, depth);
    }
}

fn line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("    ", depth));
}

/// Follows JSON text and knows which characters belong to strings.
#[derive(Default)]
struct InString {
    open: bool,
    escaped: bool,
}

impl InString {
    /// Returns whether `character`, the next one, belongs to a string; its quotes do.
    fn holds(&mut self, character: char) -> bool {
        if !self.open {
            self.open = character == '"';
            return self.open;
        }
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = true,
            '"' => self.open = false,
            _ => {}
        }
        true
    }
}
