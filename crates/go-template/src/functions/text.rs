//! Functions that make text of text.

use std::fmt::Write as _;

use crate::MAX_MADE;
use crate::print::nested;
use crate::value::Value;

/// The longest string that `pad` makes; more is a mistake or an attack on memory.
const MAX_PADDING: usize = 1_000_000;

/// Joins as `fmt.Sprint`: with spaces between two operands of which neither is a string, or between all.
pub(super) fn print(arguments: &[Value], always: bool) -> String {
    let mut text = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        let is_text = |at: usize| matches!(arguments.get(at), Some(Value::Text(_)));
        if index > 0 && (always || !is_text(index) && !is_text(index - 1)) {
            text.push(' ');
        }
        text.push_str(&nested(argument));
    }
    text
}

/// Splits text at a separator, or into its characters, unless these are too many.
pub(super) fn split(text: &str, separator: &str) -> Option<Value> {
    if text.matches(separator).count().saturating_mul(size_of::<Value>()) > MAX_MADE {
        return None;
    }
    let parts: Vec<String> = if separator.is_empty() {
        text.chars().map(String::from).collect()
    } else {
        text.split(separator).map(str::to_owned).collect()
    };
    Some(Value::from(parts))
}

/// Puts spaces around text that is not empty.
pub(super) fn pad(text: &str, before: usize, after: usize) -> Result<String, String> {
    if before.max(after) > MAX_PADDING {
        return Err(format!("more than {MAX_PADDING} spaces"));
    }
    if text.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("{}{text}{}", " ".repeat(before), " ".repeat(after)))
}

/// Writes the first letter of every word in upper case.
pub(super) fn title(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(text.len());
    for character in text.chars() {
        if inside {
            titled.push(character);
        } else {
            titled.extend(character.to_uppercase());
        }
        inside = character.is_alphanumeric() || character == '_' || character == '\'';
    }
    titled
}

/// Escapes text for HTML.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0' => escaped.push('\u{fffd}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes text for a string of JavaScript.
pub(super) fn javascript(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(character)); // Writing to a String cannot fail.
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes text for a query of a URL.
pub(super) fn url_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => {
                let _ = write!(escaped, "%{byte:02X}"); // Writing to a String cannot fail.
            }
        }
    }
    escaped
}
