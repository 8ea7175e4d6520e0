//! Values as Go's `fmt` prints them with `%v`.

use std::fmt::Write as _;

use spec::go::{duration, two_digit_exponent};

use super::value::Value;

/// Prints as an action does: `<no value>` where there is none.
pub(super) fn print(text: &mut String, value: &Value) {
    match value {
        Value::Missing => text.push_str("<no value>"),
        other => write(text, other, false),
    }
}

/// Returns what `fmt.Sprint` prints, inside of a map, slice or struct as well: `<nil>` where there is no value.
pub(super) fn nested(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, false);
    text
}

/// Returns what `%+v` prints: as [`nested`], with the names of fields.
pub(super) fn with_names(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, true);
    text
}

/// Go prints the address of a struct behind a pointer in another value; here it is the struct, as at the top.
fn write(text: &mut String, value: &Value, names: bool) {
    match value {
        Value::Missing | Value::Nil => text.push_str("<nil>"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => {
            let _ = write!(text, "{value}"); // Writing to a String cannot fail.
        }
        Value::Duration(value) => text.push_str(&duration(*value)),
        Value::Float(value) => text.push_str(&shortest(*value)),
        Value::Number(value) | Value::Text(value) => text.push_str(value),
        Value::Time(value) => text.push_str(&moment(value)),
        Value::List(items) => {
            text.push('[');
            for (index, item) in items.iter().flatten().enumerate() {
                separate(text, index);
                write(text, item, names);
            }
            text.push(']');
        }
        Value::Map(members, _) => {
            text.push_str("map[");
            for (index, (key, member)) in members.iter().flatten().enumerate() {
                separate(text, index);
                text.push_str(key);
                text.push(':');
                write(text, member, names);
            }
            text.push(']');
        }
        Value::Structure(structure) => {
            text.push('{');
            for (index, field) in structure.fields.iter().enumerate() {
                separate(text, index);
                if names {
                    text.extend([&*field.name, ":"]);
                }
                write(text, &field.value, names);
            }
            text.push('}');
        }
    }
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(' ');
    }
}

/// Returns the shortest digits that mean `value`, with an exponent below 1e-4 and from 1e21 on.
pub(super) fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value != 0.0 && !(-4..21).contains(&exponent) {
        return format!("{mantissa}e{}", two_digit_exponent(exponent));
    }
    format!("{value}")
}

/// Returns an RFC 3339 time in Go's notation: `2026-11-21 17:54:39.19 +0000 UTC`.
fn moment(rfc3339: &str) -> String {
    let Some((date, rest)) = rfc3339.split_once('T') else { return rfc3339.to_owned() };
    if let Some(time) = rest.strip_suffix('Z') {
        return format!("{date} {time} +0000 UTC");
    }
    // A zone without a name is printed twice: as the offset and as its own name.
    match rest.rfind(['+', '-']) {
        Some(at) => {
            let offset = rest[at..].replace(':', "");
            format!("{date} {} {offset} {offset}", &rest[..at])
        }
        None => rfc3339.to_owned(),
    }
}
