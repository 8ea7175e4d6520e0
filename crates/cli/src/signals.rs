//! The signals that end a command.

use std::future::Future;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::error::CliError;

/// SIGINT's number.
const INTERRUPT: u8 = 2;
/// SIGTERM's number.
const TERMINATE: u8 = 15;

/// SIGXFSZ's number.
const FILE_TOO_LARGE: i32 = 25;

/// Takes over SIGINT and SIGTERM of this process. The future resolves at the first, to its number; a second one ends
/// the process at once, even while the command hangs in a call that blocks. SIGXFSZ no longer kills it: a write beyond `ulimit -f`
/// fails, and is told with the name of the file.
///
/// Signals are waited for on a thread of their own: the runtime of the command is gone while the second one counts.
pub(crate) fn termination() -> Result<impl Future<Output = u8>, CliError> {
    let runtime = Builder::new_current_thread().enable_io().build().map_err(CliError::Start)?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        let hear = |kind| signal(kind).map_err(CliError::Start);
        drop(hear(SignalKind::from_raw(FILE_TOO_LARGE))?);
        (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?)
    };
    let (sender, receiver) = oneshot::channel();
    let wait = async move {
        let first = either(&mut interrupt, &mut terminate).await;
        let _ = sender.send(first); // Nobody waits where the command has ended already.
        let second = either(&mut interrupt, &mut terminate).await;
        #[expect(clippy::exit, reason = "the user has asked twice")]
        std::process::exit(128 + i32::from(second));
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(wait)).map_err(CliError::Start)?;
    // The thread sends before it ends, so the channel is never closed without a number.
    Ok(async move { receiver.await.unwrap_or(TERMINATE) })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => TERMINATE,
    }
}
