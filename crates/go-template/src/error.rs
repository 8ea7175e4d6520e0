//! Errors of templates.

use super::ast::{Operand, OperandKind, Position};
use super::value::Value;

/// A template that cannot be parsed or run. The text is the user's to read; it follows Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not a template.
    #[error("template: {name}:{line}: {message}")]
    Syntax {
        /// The template's name.
        name: &'static str,
        /// The line, from 1.
        line: usize,
        /// The fault.
        message: String,
    },
    /// The template does not fit the value.
    #[error(
        "template: {name}:{line}:{column}: executing \"{}\" at <{source_text}>: {message}",
        .body.as_deref().unwrap_or(.name)
    )]
    Execution {
        /// The template's name.
        name: &'static str,
        /// The line of the expression, from 1.
        line: usize,
        /// The column of the expression in bytes, from 0.
        column: usize,
        /// The name of the definition that it is in, if it is in one.
        body: Option<Box<str>>,
        /// The expression.
        source_text: String,
        /// The fault.
        message: String,
    },
}

impl TemplateError {
    /// Gives the template a name, which its errors say.
    pub(super) fn named(mut self, called: &'static str) -> TemplateError {
        match &mut self {
            TemplateError::Syntax { name, .. } | TemplateError::Execution { name, .. } => {
                *name = called;
            }
        }
        self
    }
}

/// Says in which definition a fault is; the innermost counts.
pub(super) fn within(name: &str, mut error: TemplateError) -> TemplateError {
    if let TemplateError::Execution { body, .. } = &mut error {
        body.get_or_insert_with(|| name.into());
    }
    error
}

/// Says that an operand takes no arguments.
pub(super) fn not_a_function(operand: &Operand, dot: &Value) -> TemplateError {
    let message = match &operand.kind {
        OperandKind::Field(names) => {
            let name = names.last().map_or("", String::as_str);
            match dot {
                Value::Map(..) => format!("{name} is not a method but has arguments"),
                _ => format!("{name} has arguments but cannot be invoked as function"),
            }
        }
        _ => format!("can't give argument to non-function {}", operand.text),
    };
    failure(operand, message)
}

/// Says what is wrong with an operand.
pub(super) fn failure(operand: &Operand, message: String) -> TemplateError {
    failed(operand.position, &operand.text, message)
}

/// Says what is wrong at a place of a template, whose name comes later.
pub(super) fn failed(position: Position, text: &str, message: String) -> TemplateError {
    TemplateError::Execution {
        name: "",
        line: position.line,
        column: position.column,
        body: None,
        source_text: text.to_owned(),
        message,
    }
}
