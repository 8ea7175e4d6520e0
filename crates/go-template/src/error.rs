//! Errors of templates.

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
    #[error("template: {name}:{line}:{column}: executing \"{name}\" at <{source_text}>: {message}")]
    Execution {
        /// The template's name.
        name: &'static str,
        /// The line of the expression, from 1.
        line: usize,
        /// The column of the expression in bytes, from 0.
        column: usize,
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
