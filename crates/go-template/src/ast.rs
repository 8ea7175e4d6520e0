//! The tree of a parsed template.

/// The place of an expression in the template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The line, from 1.
    pub(super) line: usize,
    /// The column in bytes, from 0.
    pub(super) column: usize,
}

/// One piece of a template, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Text that is printed as it is.
    Text(String),
    /// `{{pipeline}}`: prints its value, unless it only sets a variable.
    Action(Pipeline),
    /// `{{if pipeline}} … {{else}} … {{end}}`.
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    /// `{{with pipeline}} … {{else}} … {{end}}`.
    With { subject: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    /// `{{range pipeline}} … {{else}} … {{end}}`.
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
    /// `{{template "name" pipeline}}`, and what `{{block}}` becomes.
    Call { name: String, argument: Option<Pipeline>, position: Position },
}

/// Commands of which each gets the value of the one before as its last argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline {
    /// The variables that take the value: none, one, or two in a range.
    pub(super) variables: Vec<String>,
    /// True if the variables exist already (`=` and not `:=`).
    pub(super) assigns: bool,
    /// At least one command.
    pub(super) commands: Vec<Command>,
}

/// A function or value with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// At least one operand: the function or value, then the arguments.
    pub(super) operands: Vec<Operand>,
    /// Its place.
    pub(super) position: Position,
    /// Its text, for messages.
    pub(super) text: String,
}

/// A value in a command, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    /// A value, a function or a pipeline.
    pub(super) kind: OperandKind,
    /// Its place.
    pub(super) position: Position,
    /// Its text, for messages.
    pub(super) text: String,
}

/// A value, a function or a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OperandKind {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A whole number or a character.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A quoted or raw string.
    Text(String),
    /// `$name`; the name `""` is `$`, the value that the template was given.
    Variable(String),
    /// `.A.B` on the dot.
    Field(Vec<String>),
    /// `.A.B` on another operand.
    Chain(Box<Operand>, Vec<String>),
    /// A function's name.
    Function(String),
    /// `( … )`
    Pipeline(Box<Pipeline>),
}

impl OperandKind {
    /// Says whether the operand is a value by itself, to which no argument can be given.
    pub(super) fn is_constant(&self) -> bool {
        use OperandKind::{Bool, Dot, Float, Int, Nil, Text};
        matches!(self, Dot | Nil | Bool(_) | Int(_) | Float(_) | Text(_))
    }
}
