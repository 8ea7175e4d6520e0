//! `longshore system dial-stdio`

use tokio::io::AsyncWriteExt as _;

use crate::error::CliError;
use crate::session::Session;

/// Proxy the stdio stream to the daemon connection. Should not be invoked manually.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore system dial-stdio")]
pub(crate) struct Arguments {}

/// Passes bytes on in both directions until the daemon has no more to say. Who ends standard input may still be waiting
/// for the answer to the last request.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let (mut answers, mut requests) = tokio::io::split(session.client.dial().await?);
    let sending = tokio::spawn(async move {
        // What is wrong with either end is seen by the other direction.
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut requests).await;
        let _ = requests.shutdown().await;
    });
    let mut output = tokio::io::stdout();
    let copied = tokio::io::copy(&mut answers, &mut output).await;
    sending.abort();
    copied.map_err(CliError::Output)?;
    output.flush().await.map_err(CliError::Output)
}
