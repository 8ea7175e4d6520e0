//! The only place that writes to standard output and standard error.

use std::io::{self, Write};

use crate::error::CliError;

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// Writes text and a line end to standard output.
pub(crate) fn print_line(text: &str) -> Result<(), CliError> {
    print(&format!("{text}\n"))
}

/// Writes bytes to standard output, at once.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(failure)
}

/// Writes text to standard error. Where that fails there is nobody left to tell.
pub(crate) fn warn(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes text and a line end to standard error.
pub(crate) fn warn_line(text: &str) {
    warn(&format!("{text}\n"));
}

fn failure(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        CliError::BrokenPipe
    } else {
        CliError::Output(error)
    }
}
