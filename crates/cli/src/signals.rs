//! The signals that end a command.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::error::CliError;

/// SIGINT's number.
const INTERRUPT: u8 = 2;
/// SIGTERM's number.
const TERMINATE: u8 = 15;

/// Takes over SIGINT and SIGTERM of this process. The future resolves at the first, to its number; a second one ends
/// the process at once, even while the command hangs in a call that blocks.
pub(crate) fn termination() -> Result<impl Future<Output = u8>, CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Start)?;
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let first = either(&mut interrupt, &mut terminate).await;
        let _ = sender.send(first); // Nobody waits where the command has ended already.
        let second = either(&mut interrupt, &mut terminate).await;
        #[expect(clippy::exit, reason = "the user has asked twice")]
        std::process::exit(128 + i32::from(second));
    });
    // The task sends before it ends, so the channel is never closed without a number.
    Ok(async move { receiver.await.unwrap_or(TERMINATE) })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => TERMINATE,
    }
}
