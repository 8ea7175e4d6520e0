//! Standard input: questions to the user, and what is handed in.

use std::io::{self, BufRead, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::CliError;
use crate::{output, terminal};

/// The longest answer to a question: passwords and tokens are far shorter, and stdin may be anything.
const MAX_INPUT: usize = 64 * 1024;

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

/// Asks for a line of input that is not shown if it is a terminal's; nothing if there is none any more.
pub(crate) async fn ask_for_secret(question: &str) -> Result<Option<String>, CliError> {
    let hidden = if terminal::reads_terminal() { Some(Hidden::start()?) } else { None };
    output::print(question)?;
    let line = on_a_thread(|line| io::stdin().lock().take(MAX_INPUT as u64).read_line(line)).await;
    drop(hidden);
    output::print("\n")?;
    let line = line?;
    // A line has its end, be it an empty one.
    Ok((!line.is_empty()).then(|| line.trim().to_owned()))
}

/// Asks a question that only a yes answers with yes.
pub(crate) async fn confirm(question: &str) -> Result<bool, CliError> {
    Ok(ask(&format!("{question} [y/N] ")).await?.eq_ignore_ascii_case("y"))
}

/// Waits until the user ends a line.
pub(crate) async fn enter() -> Result<(), CliError> {
    read_line().await.map(|_| ())
}

/// Reads standard input to its end; `None` if there is more than [`MAX_INPUT`].
pub(crate) async fn read_all() -> Result<Option<String>, CliError> {
    let text =
        on_a_thread(|text| io::stdin().lock().take(MAX_INPUT as u64 + 1).read_to_string(text));
    Ok(Some(text.await?).filter(|text| text.len() <= MAX_INPUT))
}

async fn read_line() -> Result<String, CliError> {
    let line = on_a_thread(|line| io::stdin().lock().take(MAX_INPUT as u64).read_line(line));
    Ok(line.await?.trim().to_owned())
}

/// Reads on a thread of its own: nothing can take back a blocking read, so it must not hold the runtime, nor keep
/// a signal from ending the command.
async fn on_a_thread(
    read: impl FnOnce(&mut String) -> io::Result<usize> + Send + 'static,
) -> Result<String, CliError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = read(&mut text);
        let _ = sender.send(read.map(|_| text)); // Nobody waits any more: the command has ended.
    });
    let text = receiver.await.map_err(|_| CliError::Input(io::ErrorKind::UnexpectedEof.into()))?;
    text.map_err(CliError::Input)
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
