//! `longshore unpack`

use std::path::PathBuf;

use api::message::Message;

use super::parameters::image_and_directory;
use super::transfer::follow;
use crate::client::Call;
use crate::error::CliError;
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;

/// Unpack an image into a directory
///
/// The directory must not exist yet, or be empty. With --bundle it becomes a bundle that `runc run` or `crun run` starts: the
/// files in `rootfs`, and a `config.json` made of the image's own.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore unpack [OPTIONS] IMAGE DIRECTORY")]
pub(crate) struct Arguments {
    #[arg(hide = true)]
    image: String,
    #[arg(hide = true)]
    directory: PathBuf,
    /// Make a bundle for an OCI runtime
    #[arg(long)]
    bundle: bool,
    /// Unpack what is here for this platform: the image itself, or another one of its index
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Show no progress
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Unpacks an image.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(arguments.quiet, Stream::Output, session);
    let unpacked = unpack(arguments, session, &mut display).await;
    display.finish(unpacked.map(|_| None))
}

async fn unpack(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<Option<Message>, CliError> {
    let Arguments { image, directory, bundle, platform, .. } = arguments;
    let query = image_and_directory(image, &directory, platform.as_deref())?
        .with("bundle", bundle.to_string());
    let answer = session.client.post("/longshore/unpack", Call::query(query)).await;
    let answer = answer.map_err(|error| {
        let instead = "pull the image with `longshore` itself, without a daemon, and unpack that";
        error.of_another_daemon("unpack images", instead)
    })?;
    follow(answer.messages(), display).await
}
