//! The signals that end a command.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// SIGINT's number.
const INTERRUPT: u8 = 2;
/// SIGTERM's number.
const TERMINATE: u8 = 15;

/// SIGINT and SIGTERM, as they come.
#[derive(Debug)]
pub(crate) struct Terminations {
    interrupt: Signal,
    terminate: Signal,
}

impl Terminations {
    /// Takes over the signals of this process.
    pub(crate) fn new() -> Result<Terminations, CliError> {
        Ok(Terminations {
            interrupt: signal(SignalKind::interrupt()).map_err(CliError::Start)?,
            terminate: signal(SignalKind::terminate()).map_err(CliError::Start)?,
        })
    }

    /// Waits for the next one; returns its number.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }
}

/// Returns a future that resolves at the first signal.
pub(crate) fn termination() -> Result<impl Future<Output = u8>, CliError> {
    let mut terminations = Terminations::new()?;
    Ok(async move { terminations.next().await })
}
