//! The terminal: whether there is one, and how large it is.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

/// Returns whether standard input is a terminal.
pub(crate) fn reads_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Returns whether standard output is a terminal.
pub(crate) fn writes_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub(crate) fn warns_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Returns the columns and rows of a terminal, if it is one that tells.
pub(crate) fn size(terminal: impl AsFd) -> Option<(usize, usize)> {
    let size = tcgetwinsize(terminal).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// Returns the columns of the terminal on standard output, if there is one.
pub(crate) fn width() -> Option<usize> {
    size(io::stdout()).map(|(columns, _)| columns)
}
