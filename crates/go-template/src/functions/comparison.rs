//! `eq`, `ne`, `lt` and the others.

use std::cmp::Ordering;

use crate::print::nested;
use crate::value::Value;

/// Returns whether a comparison holds; `eq` may have several right sides, of which one is enough.
pub(super) fn holds(name: &str, left: &Value, others: &[Value]) -> Result<bool, String> {
    let Some(right) = others.first() else {
        return Err("missing argument for comparison".to_owned());
    };
    match name {
        "eq" => {
            for other in others {
                if equal(left, other)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        "ne" => Ok(!equal(left, right)?),
        "lt" => Ok(order(left, right)? == Ordering::Less),
        "le" => Ok(order(left, right)? != Ordering::Greater),
        "gt" => Ok(order(left, right)? == Ordering::Greater),
        _ => Ok(order(left, right)? != Ordering::Less),
    }
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    Ok(match (left, right) {
        (Value::Missing | Value::Nil, other) | (other, Value::Missing | Value::Nil) => {
            matches!(other, Value::Missing | Value::Nil | Value::List(None) | Value::Map(None, _))
        }
        (Value::List(_) | Value::Map(..), _) | (_, Value::List(_) | Value::Map(..)) => {
            let value = if matches!(left, Value::List(_) | Value::Map(..)) { left } else { right };
            return Err(format!("non-comparable type {}: {}", nested(value), value.type_name()));
        }
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bool(_), _) | (_, Value::Bool(_)) => {
            return Err("incompatible types for comparison".to_owned());
        }
        (Value::Structure(left), Value::Structure(right)) => left == right,
        (Value::Time(left), Value::Time(right)) => left == right,
        _ => order(left, right)? == Ordering::Equal,
    })
}

fn order(left: &Value, right: &Value) -> Result<Ordering, String> {
    match (left, right) {
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => {
            Ok(left.cmp(right))
        }
        // What is not a number is neither less nor greater nor equal.
        (Value::Float(left), Value::Float(right)) => {
            Ok(left.partial_cmp(right).unwrap_or(Ordering::Less))
        }
        (Value::Number(left) | Value::Text(left), Value::Number(right) | Value::Text(right)) => {
            Ok(left.cmp(right))
        }
        (
            Value::List(_) | Value::Map(..) | Value::Structure(_) | Value::Bool(_) | Value::Time(_),
            _,
        )
        | (_, Value::List(_) | Value::Map(..) | Value::Structure(_) | Value::Time(_)) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}
