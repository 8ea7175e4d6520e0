//! Why a template did not parse or run.

/// A template that cannot be parsed or run. The text is the user's to read; it follows Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// The text is not a template.
    #[error("template: :{line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The template does not fit the value.
    #[error("template: :{line}:{column}: executing \"\" at <{source_text}>: {message}")]
    Execution {
        /// The line of the expression, from 1.
        line: usize,
        /// The column of the expression in bytes, from 0.
        column: usize,
        /// The expression.
        source_text: String,
        /// What is wrong.
        message: String,
    },
}
