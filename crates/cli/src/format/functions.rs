//! The functions of templates: Go's own, and those that Docker adds.

use std::cmp::Ordering;

use super::json;
use super::print::nested;
use super::printf::sprintf;
use super::value::Value;

/// The longest string that `pad` makes; more is a mistake or an attack on memory.
const MAX_PADDING: usize = 1_000_000;

const NAMES: [&str; 28] = [
    "and",
    "call",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "join",
    "js",
    "json",
    "le",
    "len",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "pad",
    "print",
    "printf",
    "println",
    "slice",
    "split",
    "title",
    "truncate",
    "upper",
    "urlquery",
    "getDetailsOrder",
];

/// Returns whether templates know a function of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a function with its evaluated arguments. `and` and `or` are the evaluator's: they do not evaluate all.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match name {
        "print" => Ok(Value::Text(print(arguments, false))),
        "println" => Ok(Value::Text(print(arguments, true) + "\n")),
        "html" => Ok(Value::Text(html(&print(arguments, false)))),
        "js" => Ok(Value::Text(javascript(&print(arguments, false)))),
        "urlquery" => Ok(Value::Text(url_query(&print(arguments, false)))),
        "printf" => match arguments {
            [format, rest @ ..] => Ok(Value::Text(sprintf(text(format)?, rest))),
            [] => Err("wrong number of args for printf: want at least 1 got 0".to_owned()),
        },
        "index" => match arguments {
            [value, keys @ ..] => index(value, keys),
            [] => Err("wrong number of args for index: want at least 1 got 0".to_owned()),
        },
        "slice" => match arguments {
            [value, bounds @ ..] => slice(value, bounds),
            [] => Err("wrong number of args for slice: want at least 1 got 0".to_owned()),
        },
        "eq" => equal_any(arguments),
        "call" => Err("call of nil".to_owned()),
        _ => fixed(name, arguments),
    }
}

/// Calls the functions that take a fixed number of arguments.
fn fixed(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("not", [value]) => Ok(Value::Bool(!value.truth())),
        ("len", [value]) => length(value),
        ("json", [value]) => Ok(Value::Text(json::encode(value))),
        ("lower", [value]) => Ok(Value::Text(text(value)?.to_lowercase())),
        ("upper", [value]) => Ok(Value::Text(text(value)?.to_uppercase())),
        ("title", [value]) => Ok(Value::Text(title(text(value)?))),
        ("split", [value, separator]) => Ok(split(text(value)?, text(separator)?)),
        ("join", [items, separator]) => join(items, text(separator)?),
        ("pad", [value, before, after]) => pad(text(value)?, count(before)?, count(after)?),
        ("truncate", [value, length]) => {
            let (value, length) = (text(value)?, count(length)?);
            // Bytes, as Go cuts; a character that is cut through goes whole.
            Ok(Value::Text(value[..value.floor_char_boundary(length)].to_owned()))
        }
        ("getDetailsOrder", [component]) => Ok(details_order(component)),
        ("ne", [left, right]) => Ok(Value::Bool(!equal(left, right)?)),
        ("lt", [left, right]) => {
            compare(left, right).map(|order| Value::Bool(order == Ordering::Less))
        }
        ("le", [left, right]) => {
            compare(left, right).map(|order| Value::Bool(order != Ordering::Greater))
        }
        ("gt", [left, right]) => {
            compare(left, right).map(|order| Value::Bool(order == Ordering::Greater))
        }
        ("ge", [left, right]) => {
            compare(left, right).map(|order| Value::Bool(order != Ordering::Less))
        }
        _ => {
            let want = match name {
                "pad" => 3,
                "not" | "len" | "json" | "lower" | "upper" | "title" | "getDetailsOrder" => 1,
                _ => 2,
            };
            Err(format!("wrong number of args for {name}: want {want} got {}", arguments.len()))
        }
    }
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Missing => Err("invalid value; expected string".to_owned()),
        other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
    }
}

fn count(value: &Value) -> Result<usize, String> {
    match value {
        Value::Int(number) => usize::try_from(*number)
            .map_err(|_| format!("error calling function: negative count {number}")),
        other => Err(format!("wrong type for value; expected int; got {}", other.type_name())),
    }
}

/// Joins as `fmt.Sprint`: with spaces between two operands of which neither is a string, or between all.
fn print(arguments: &[Value], always: bool) -> String {
    let mut text = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        let strings = matches!(argument, Value::Text(_))
            || index
                .checked_sub(1)
                .is_some_and(|before| matches!(arguments[before], Value::Text(_)));
        if index > 0 && (always || !strings) {
            text.push(' ');
        }
        text.push_str(&nested(argument));
    }
    text
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        Value::List(items) => items.as_ref().map_or(0, Vec::len),
        Value::Map(members) => members.as_ref().map_or(0, std::collections::BTreeMap::len),
        Value::Missing | Value::Nil => {
            return Err("error calling len: len of nil pointer".to_owned());
        }
        other => return Err(format!("error calling len: len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut value = value.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::List(items), Value::Int(number)) => {
                let items = items.as_deref().unwrap_or_default();
                let item = usize::try_from(*number).ok().and_then(|at| items.get(at));
                item.cloned()
                    .ok_or_else(|| format!("error calling index: index out of range: {number}"))?
            }
            (Value::Text(text), Value::Int(number)) => {
                let byte = usize::try_from(*number).ok().and_then(|at| text.as_bytes().get(at));
                let byte = byte
                    .ok_or_else(|| format!("error calling index: index out of range: {number}"))?;
                Value::Int(i64::from(*byte))
            }
            (Value::Map(members), Value::Text(key)) => members
                .as_ref()
                .and_then(|members| members.get(key))
                .cloned()
                .unwrap_or(Value::Missing),
            (Value::List(_) | Value::Text(_), key) => {
                return Err(format!(
                    "error calling index: cannot index slice/array with type {}",
                    key.type_name()
                ));
            }
            (Value::Map(_), key) => {
                return Err(format!(
                    "error calling index: value has type {}; should be string",
                    key.type_name()
                ));
            }
            (Value::Missing, _) => {
                return Err("error calling index: index of untyped nil".to_owned());
            }
            (Value::Nil, _) => return Err("error calling index: index of nil pointer".to_owned()),
            (other, _) => {
                return Err(format!(
                    "error calling index: can't index item of type {}",
                    other.type_name()
                ));
            }
        };
    }
    Ok(value)
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match length(value)? {
        Value::Int(length) => usize::try_from(length).unwrap_or(usize::MAX),
        _ => 0,
    };
    let bound = |at: usize, default: usize| bounds.get(at).map_or(Ok(default), count);
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    if end > length || start > end {
        return Err(format!("error calling slice: index out of range: {}", end.max(start)));
    }
    match value {
        Value::Text(text) => match text.get(start..end) {
            Some(part) => Ok(Value::Text(part.to_owned())),
            None => Err("error calling slice: index inside of a character".to_owned()),
        },
        Value::List(items) => {
            Ok(Value::List(Some(items.as_deref().unwrap_or_default()[start..end].to_vec())))
        }
        other => {
            Err(format!("error calling slice: can't slice item of type {}", other.type_name()))
        }
    }
}

fn equal_any(arguments: &[Value]) -> Result<Value, String> {
    let [first, others @ ..] = arguments else {
        return Err("wrong number of args for eq: want at least 1 got 0".to_owned());
    };
    if others.is_empty() {
        return Err("error calling eq: missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    Ok(match (left, right) {
        (Value::Missing | Value::Nil, other) | (other, Value::Missing | Value::Nil) => {
            matches!(other, Value::Missing | Value::Nil | Value::List(None) | Value::Map(None))
        }
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        #[expect(clippy::float_cmp, reason = "Go's eq compares exactly")]
        (Value::Float(left), Value::Float(right)) => left == right,
        (Value::Number(left) | Value::Text(left), Value::Number(right) | Value::Text(right)) => {
            left == right
        }
        (Value::List(_) | Value::Map(_), _) => {
            return Err("error calling eq: non-comparable type".to_owned());
        }
        (Value::Structure(left), Value::Structure(right)) => left == right,
        (Value::Time(left), Value::Time(right)) => left == right,
        _ => return Err("error calling eq: incompatible types for comparison".to_owned()),
    })
}

fn compare(left: &Value, right: &Value) -> Result<Ordering, String> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => {
            left.partial_cmp(right).ok_or_else(|| "NaN".to_owned())
        }
        (Value::Number(left) | Value::Text(left), Value::Number(right) | Value::Text(right)) => {
            Ok(left.cmp(right))
        }
        _ => Err("error calling lt: incompatible types for comparison".to_owned()),
    }
}

fn split(value: &str, separator: &str) -> Value {
    let parts: Vec<String> = if separator.is_empty() {
        value.chars().map(String::from).collect()
    } else {
        value.split(separator).map(str::to_owned).collect()
    };
    Value::from(parts)
}

fn join(items: &Value, separator: &str) -> Result<Value, String> {
    let Value::List(items) = items else {
        return Err(format!("wrong type for value; expected []string; got {}", items.type_name()));
    };
    let items: Result<Vec<&str>, String> = items.iter().flatten().map(text).collect();
    Ok(Value::Text(items?.join(separator)))
}

fn pad(value: &str, before: usize, after: usize) -> Result<Value, String> {
    if before.max(after) > MAX_PADDING {
        return Err(format!("error calling pad: more than {MAX_PADDING} spaces"));
    }
    if value.is_empty() {
        return Ok(Value::from(""));
    }
    Ok(Value::Text(format!("{}{value}{}", " ".repeat(before), " ".repeat(after))))
}

/// Writes the first letter of every word in upper case.
fn title(value: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(value.len());
    for character in value.chars() {
        if inside {
            titled.push(character);
        } else {
            titled.extend(character.to_uppercase());
        }
        inside = character.is_alphanumeric() || character == '_' || character == '\'';
    }
    titled
}

/// Returns the sorted keys of a component's details: the lines of `version` below it.
fn details_order(component: &Value) -> Value {
    let details = match component {
        Value::Structure(structure) => structure.get("Details"),
        _ => None,
    };
    match details {
        Some(Value::Map(Some(details))) => Value::from(details.keys().cloned().collect::<Vec<_>>()),
        _ => Value::List(None),
    }
}

fn html(text: &str) -> String {
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

fn javascript(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                escaped.push_str(&format!("\\u{:04X}", u32::from(character)))
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn url_query(text: &str) -> String {
    let query = api::Query::new().with("", text).to_string();
    query.trim_start_matches('=').replace("%20", "+")
}
