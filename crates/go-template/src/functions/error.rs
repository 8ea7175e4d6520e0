//! Failures of functions.

use crate::ast::{Operand, OperandKind};
use crate::value::Value;

/// A failure of a function.
#[derive(Debug)]
pub(crate) enum FunctionError {
    /// It was called with too many or too few arguments.
    Count(String),
    /// The argument at this place is of a type that it does not take.
    Argument(usize, WrongType),
    /// It does not work on these values.
    Failed(String),
}

/// A value of a type that a function does not take.
#[derive(Debug)]
pub(crate) struct WrongType {
    expected: &'static str,
    /// The value's type, if there is a value.
    got: Option<&'static str>,
}

impl WrongType {
    /// Says what is wrong. Of what is written in the template Go says what it found, of a value its type.
    pub(crate) fn message(&self, operand: &Operand) -> String {
        let WrongType { expected, got } = self;
        match (&operand.kind, got) {
            (OperandKind::Nil, _) => format!("cannot assign nil to {expected}"),
            (OperandKind::Dot, _) | (_, None) if got.is_none() => {
                format!("invalid value; expected {expected}")
            }
            (kind, _) if kind.is_constant() && *kind != OperandKind::Dot => match *expected {
                "string" => format!("expected string; found {}", operand.text),
                "int" => format!("expected integer; found {}", operand.text),
                other => format!("can't handle {} for arg of type {other}", operand.text),
            },
            (_, got) => format!(
                "wrong type for value; expected {expected}; got {}",
                got.unwrap_or_default()
            ),
        }
    }
}

/// Returns the failure of a function whose argument at a place is of another type.
pub(super) fn wrong_type(value: &Value, expected: &'static str, at: usize) -> FunctionError {
    let got = (*value != Value::Missing).then(|| value.type_name());
    FunctionError::Argument(at, WrongType { expected, got })
}
