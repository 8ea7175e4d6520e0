//! `longshore unpack`

use std::path::PathBuf;

use api::{Query, encode_platform};
use spec::Platform;

use crate::client::Call;
use crate::error::CliError;
use crate::session::Session;
use crate::verbs::transfer::follow;

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
    /// Fail if the image is not for this platform
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Show no progress
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Unpacks an image.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    // Where the daemon runs is where the directory is made; a relative one is meant from here.
    let directory = std::path::absolute(&arguments.directory).map_err(CliError::Input)?;
    let Some(directory) = directory.to_str() else {
        return Err(CliError::Refused(format!("{} is not UTF-8", directory.display())));
    };
    let mut query = Query::new()
        .with("image", arguments.image)
        .with("directory", directory)
        .with("bundle", arguments.bundle.to_string());
    if let Some(platform) = &arguments.platform {
        query.add("platform", encode_platform(&Platform::parse(platform)?));
    }
    let answer = session.client.post("/longshore/unpack", Call::query(query)).await?;
    follow(answer.messages(), arguments.quiet).await
}
