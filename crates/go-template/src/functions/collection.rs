//! Functions on lists and maps.

use super::error::{FunctionError, wrong_type};
use crate::MAX_MADE;
use crate::value::{Element, Value};

/// Returns how many items, members or bytes a value has.
pub(super) fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        Value::List(items) => items.as_ref().map_or(0, Vec::len),
        Value::Map(members, _) => members.as_ref().map_or(0, std::collections::BTreeMap::len),
        Value::Missing | Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// Goes into a value by each of the keys.
pub(super) fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let out_of_range = |number: &i64| format!("index out of range: {number}");
    let mut value = value.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::List(items), Value::Int(number)) => {
                let items = items.as_deref().unwrap_or_default();
                let item = usize::try_from(*number).ok().and_then(|at| items.get(at));
                item.cloned().ok_or_else(|| out_of_range(number))?
            }
            (Value::Text(text) | Value::Number(text), Value::Int(number)) => {
                let byte = usize::try_from(*number).ok().and_then(|at| text.as_bytes().get(at));
                Value::Int(i64::from(*byte.ok_or_else(|| out_of_range(number))?))
            }
            (Value::Map(members, element), Value::Text(key)) => {
                let member = members.as_ref().and_then(|members| members.get(key)).cloned();
                member.unwrap_or_else(|| match element {
                    Element::Any => Value::Missing,
                    Element::Text => Value::from(""),
                })
            }
            (Value::List(_) | Value::Text(_) | Value::Number(_), key) => {
                return Err(format!("cannot index slice/array with type {}", key.type_name()));
            }
            (Value::Map(..), key) => {
                return Err(format!("value has type {}; should be string", key.type_name()));
            }
            (Value::Missing, _) => return Err("index of untyped nil".to_owned()),
            (Value::Nil, _) => return Err("index of nil pointer".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

/// Returns the part of a list or text between two bounds.
pub(super) fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match length(value)? {
        Value::Int(length) => usize::try_from(length).unwrap_or(usize::MAX),
        _ => 0,
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Value::Int(number)) => usize::try_from(*number)
            .ok()
            .filter(|bound| *bound <= length)
            .ok_or_else(|| format!("index out of range: {number}")),
        Some(other) => Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    match value {
        Value::Text(text) => match text.get(start..end) {
            Some(part) => Ok(Value::from(part)),
            None => Err("index inside of a character".to_owned()),
        },
        Value::List(items) => {
            Ok(Value::List(Some(items.as_deref().unwrap_or_default()[start..end].to_vec())))
        }
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

/// Joins the texts of the list that is the first argument, unless there is too much of them.
pub(super) fn join(arguments: &[Value], separator: &str) -> Result<Option<Value>, FunctionError> {
    let wrong = || wrong_type(&arguments[0], "[]string", 0);
    let Value::List(items) = &arguments[0] else { return Err(wrong()) };
    let texts = items.iter().flatten().map(|item| match item {
        Value::Text(text) => Ok(text.as_str()),
        _ => Err(wrong()),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let fits = texts.len().saturating_mul(separator.len()) <= MAX_MADE;
    Ok(fits.then(|| Value::Text(texts.join(separator))))
}

/// Returns the sorted keys of a component's details: the lines of `version` below it.
pub(super) fn details_order(component: &Value) -> Value {
    let details = match component {
        Value::Structure(structure) => structure.get("Details"),
        _ => None,
    };
    match details {
        Some(Value::Map(Some(details), _)) => {
            Value::from(details.keys().cloned().collect::<Vec<_>>())
        }
        _ => Value::List(None),
    }
}
