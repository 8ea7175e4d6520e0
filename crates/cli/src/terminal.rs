//! The terminal: whether there is one, and how wide it is.

use std::io::{self, IsTerminal};

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

/// Returns the columns of the terminal on standard output, if there is one.
pub(crate) fn width() -> Option<usize> {
    tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col))
}
