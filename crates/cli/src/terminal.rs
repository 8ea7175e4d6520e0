//! The terminal: whether there is one, how wide it is, and questions to the user.

use std::io::{self, BufRead, IsTerminal};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::error::CliError;
use crate::output;

/// The longest answer to a question: passwords and tokens are far shorter, and stdin may be anything.
pub(crate) const MAX_INPUT: usize = 64 * 1024;

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

/// Asks for a line of input. Spaces around the answer are dropped.
pub(crate) async fn ask(question: &str) -> Result<String, CliError> {
    output::print(question)?;
    read_line().await
}

/// Asks for a line of input that is not shown. When the question is not answered because the command ends, the
/// terminal is as before.
pub(crate) async fn ask_secretly(question: &str) -> Result<String, CliError> {
    let hidden = Hidden::start()?;
    output::print(question)?;
    let answer = read_line().await;
    drop(hidden);
    output::print("\n")?;
    answer
}

/// Reads a line on a thread of its own: nothing can take back a blocking read, so it must not hold the runtime.
async fn read_line() -> Result<String, CliError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::Read::take(io::stdin().lock(), MAX_INPUT as u64).read_line(&mut line);
        let _ = sender.send(read.map(|_| line)); // Nobody waits any more: the command has ended.
    });
    let line = receiver.await.map_err(|_| CliError::Input(io::ErrorKind::UnexpectedEof.into()))?;
    line.map(|line| line.trim().to_owned()).map_err(CliError::Input)
}

/// The terminal shows no input while this lives.
struct Hidden(Termios);

impl Hidden {
    fn start() -> Result<Hidden, CliError> {
        let before = tcgetattr(io::stdin()).map_err(|error| CliError::Input(error.into()))?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)
            .map_err(|error| CliError::Input(error.into()))?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0) {
            output::warn_line(&format!(
                "Error: failed to restore terminal state to echo input: {error}"
            ));
        }
    }
}
