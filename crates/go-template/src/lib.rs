//! Go's `text/template` over JSON: what `--format` takes.
//!
//! A template is parsed once ([`Template::parse`]) and run over a [`Value`]. Values keep what JSON loses and
//! Go's printing shows: whether a missing thing is a nil map, a nil slice or nothing, in which order and under
//! which name a struct has its fields ([`shape`]), which numbers are integers.
//!
//! # Flow
//! text → [`lexer`] tokens → [`parser`] tree → [`evaluator`] → text; values are printed by [`mod@print`] (Go's `%v`)
//! and [`json`] (Go's `encoding/json`); [`functions`] has the functions of Go and those that Docker adds.
//!
//! # Limits
//! Templates come from the user's own command line, values from the daemon. Nesting of both is bounded ([`MAX_DEPTH`]), and so
//! is that of templates that call templates (`MAX_OPEN` in [`evaluator`]), as recursion would otherwise end in a stack
//! overflow. What a template prints and computes is bounded in all ([`MAX_MADE`]), as it would otherwise fill the memory.

mod ast;
mod error;
mod evaluator;
mod functions;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod json;
mod lexer;
mod listing;
mod parser;
mod print;
mod printf;
pub mod shape;
mod tabwriter;
mod value;

pub use error::TemplateError;
pub use evaluator::{Execution, Template};
pub use listing::{Lines, Listing};
pub use tabwriter::Columns;
pub use value::{Element, Field, Marshal, Structure, Value};

/// The depth to which the text of a template, and a value, may nest: far above what anyone writes, far below what a stack holds.
pub(crate) const MAX_DEPTH: usize = 128;

/// The bytes that one run of a template may make, of text and of values: far above what anyone reads, far below what fills a
/// memory.
pub(crate) const MAX_MADE: usize = 64 << 20;

#[cfg(test)]
mod tests;
