//! The functions of templates: Go's own, and those that Docker adds.

mod collection;
mod comparison;
mod error;
mod text;

pub(super) use error::FunctionError;
use error::wrong_type;

use super::MAX_MADE;
use super::json;
use super::printf::sprintf;
use super::value::Value;

/// The number of arguments that a function takes.
#[derive(Clone, Copy, Debug)]
enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

const FUNCTIONS: [(&str, Arity); 28] = [
    ("and", Arity::AtLeast(1)),
    ("call", Arity::AtLeast(1)),
    ("eq", Arity::AtLeast(1)),
    ("ge", Arity::Exactly(2)),
    ("getDetailsOrder", Arity::Exactly(1)),
    ("gt", Arity::Exactly(2)),
    ("html", Arity::AtLeast(0)),
    ("index", Arity::AtLeast(1)),
    ("join", Arity::Exactly(2)),
    ("js", Arity::AtLeast(0)),
    ("json", Arity::Exactly(1)),
    ("le", Arity::Exactly(2)),
    ("len", Arity::Exactly(1)),
    ("lower", Arity::Exactly(1)),
    ("lt", Arity::Exactly(2)),
    ("ne", Arity::Exactly(2)),
    ("not", Arity::Exactly(1)),
    ("or", Arity::AtLeast(1)),
    ("pad", Arity::Exactly(3)),
    ("print", Arity::AtLeast(0)),
    ("printf", Arity::AtLeast(1)),
    ("println", Arity::AtLeast(0)),
    ("slice", Arity::AtLeast(1)),
    ("split", Arity::Exactly(2)),
    ("title", Arity::Exactly(1)),
    ("truncate", Arity::Exactly(2)),
    ("upper", Arity::Exactly(1)),
    ("urlquery", Arity::AtLeast(0)),
];

/// Returns whether templates know a function of this name.
pub(super) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _)| *known == name)
}

/// Calls a function with its evaluated arguments. `and` and `or` are the evaluator's: they do not evaluate all.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, FunctionError> {
    count_arguments(name, arguments.len())?;
    let failed =
        |message: String| FunctionError::Failed(format!("error calling {name}: {message}"));
    let string = |at: usize| string(arguments, at);
    let count = |at: usize, negative: fn(i64) -> String| {
        number(arguments, at)
            .and_then(|number| usize::try_from(number).map_err(|_| failed(negative(number))))
    };
    Ok(match name {
        "print" => Value::Text(text::print(arguments, false)),
        "println" => Value::Text(text::print(arguments, true) + "\n"),
        "html" => Value::Text(text::html(&text::print(arguments, false))),
        "js" => Value::Text(text::javascript(&text::print(arguments, false))),
        "urlquery" => Value::Text(text::url_query(&text::print(arguments, false))),
        "printf" => {
            let text = sprintf(string(0)?, &arguments[1..]);
            Value::Text(text.ok_or_else(too_much).map_err(failed)?)
        }
        "json" => Value::Text(json::encode(&arguments[0])),
        "lower" => Value::Text(string(0)?.to_lowercase()),
        "upper" => Value::Text(string(0)?.to_uppercase()),
        "title" => Value::Text(text::title(string(0)?)),
        "split" => text::split(string(0)?, string(1)?).ok_or_else(too_much).map_err(failed)?,
        "join" => collection::join(arguments, string(1)?)?.ok_or_else(too_much).map_err(failed)?,
        "pad" => Value::Text(
            text::pad(string(0)?, count(1, no_repeat)?, count(2, no_repeat)?).map_err(failed)?,
        ),
        // Bytes, as Go cuts; a character that is cut through goes whole.
        "truncate" => {
            let text = string(0)?;
            Value::from(&text[..text.floor_char_boundary(count(1, no_slice)?)])
        }
        "not" => Value::Bool(!arguments[0].truth()),
        "len" => collection::length(&arguments[0]).map_err(failed)?,
        "index" => collection::index(&arguments[0], &arguments[1..]).map_err(failed)?,
        "slice" => collection::slice(&arguments[0], &arguments[1..]).map_err(failed)?,
        "getDetailsOrder" => collection::details_order(&arguments[0]),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => {
            Value::Bool(comparison::holds(name, &arguments[0], &arguments[1..]).map_err(failed)?)
        }
        _ => return Err(failed("no such function".to_owned())),
    })
}

/// Says that a template makes too much.
pub(super) fn too_much() -> String {
    format!("more than {} MiB of text and values", MAX_MADE >> 20)
}

fn no_repeat(_: i64) -> String {
    "strings: negative Repeat count".to_owned()
}

fn no_slice(end: i64) -> String {
    format!("runtime error: slice bounds out of range [:{end}]")
}

/// Sees to it that a function gets as many arguments as it takes.
pub(super) fn count_arguments(name: &str, got: usize) -> Result<(), FunctionError> {
    let arity = FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, arity)| *arity);
    let want = match arity {
        Some(Arity::Exactly(want)) if got != want => want.to_string(),
        Some(Arity::AtLeast(want)) if got < want => format!("at least {want}"),
        _ => return Ok(()),
    };
    Err(FunctionError::Count(format!("wrong number of args for {name}: want {want} got {got}")))
}

fn string(arguments: &[Value], at: usize) -> Result<&str, FunctionError> {
    match &arguments[at] {
        Value::Text(text) => Ok(text),
        other => Err(wrong_type(other, "string", at)),
    }
}

fn number(arguments: &[Value], at: usize) -> Result<i64, FunctionError> {
    match &arguments[at] {
        Value::Int(number) => Ok(*number),
        other => Err(wrong_type(other, "int", at)),
    }
}
