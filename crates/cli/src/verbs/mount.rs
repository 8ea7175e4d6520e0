//! `longshore mount` and `longshore umount`

use std::path::{Path, PathBuf};

use api::mount::MountedImage;
use api::{Query, encode_platform};
use spec::Platform;

use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;
use crate::verbs::transfer::follow;

/// Mount an image on a directory for reading, or list what is mounted
///
/// The image stays until `longshore umount DIRECTORY`. Needs root.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore mount [OPTIONS] [IMAGE DIRECTORY]")]
pub(crate) struct Arguments {
    #[arg(hide = true, requires = "directory")]
    image: Option<String>,
    #[arg(hide = true)]
    directory: Option<PathBuf>,
    /// Fail if the image is not for this platform
    #[arg(long, value_name = "string")]
    platform: Option<String>,
}

/// Take an image off a directory
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore umount DIRECTORY")]
pub(crate) struct UmountArguments {
    #[arg(hide = true)]
    directory: PathBuf,
}

/// Mounts an image, or lists what is mounted.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let (Some(image), Some(directory)) = (arguments.image, arguments.directory) else {
        return list(session).await;
    };
    let mut query = Query::new().with("image", image).with("directory", text(&directory)?);
    if let Some(platform) = &arguments.platform {
        query.add("platform", encode_platform(&Platform::parse(platform)?));
    }
    let answer = session.client.post("/longshore/mount", Call::query(query)).await?;
    follow(answer.messages(), true).await
}

/// Unmounts an image.
pub(crate) async fn unmount(arguments: UmountArguments, session: &Session) -> Result<(), CliError> {
    let query = Query::new().with("directory", text(&arguments.directory)?);
    session.client.post("/longshore/umount", Call::query(query)).await?.bytes().await?;
    Ok(())
}

async fn list(session: &Session) -> Result<(), CliError> {
    let mounts: Vec<MountedImage> =
        session.client.get("/longshore/mounts", Call::default()).await?.json().await?;
    for mount in mounts {
        output::print_line(&format!("{} on {}", mount.image, mount.directory))?;
    }
    Ok(())
}

/// A relative directory is meant from where the user is.
fn text(directory: &Path) -> Result<String, CliError> {
    let directory = std::path::absolute(directory).map_err(CliError::Input)?;
    let refused = || CliError::Refused(format!("{} is not UTF-8", directory.display()));
    directory.to_str().map(str::to_owned).ok_or_else(refused)
}
