//! `longshore mount` and `longshore umount`

use std::path::PathBuf;

use api::Query;
use api::mount::MountedImage;

use super::parameters::{directory, image_and_directory};
use super::transfer::follow;
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::render::{ProgressFlag, Stream};
use crate::session::Session;

/// Mount an image on a directory for reading, or list what is mounted
///
/// The image stays until `longshore umount DIRECTORY`. Needs root. Another platform is unpacked for as long as it is mounted.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore mount [OPTIONS] [IMAGE DIRECTORY]")]
pub(crate) struct Arguments {
    #[arg(hide = true, requires = "directory")]
    image: Option<String>,
    #[arg(hide = true)]
    directory: Option<PathBuf>,
    /// Mount what is here for this platform: the image itself, or another one of its index
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
    let query = image_and_directory(image, &directory, arguments.platform.as_deref())?;
    let answer = session.client.post("/longshore/mount", Call::query(query)).await;
    let mut display = ProgressFlag::default().start(true, Stream::Output, session);
    let mounted = follow(answer.map_err(foreign)?.messages(), &mut display).await;
    display.finish(mounted.map(|_| None))
}

/// Unmounts an image.
pub(crate) async fn unmount(arguments: UmountArguments, session: &Session) -> Result<(), CliError> {
    let query = Query::new().with("directory", directory(&arguments.directory)?);
    let answer = session.client.post("/longshore/umount", Call::query(query)).await;
    answer.map_err(foreign)?.bytes().await?;
    Ok(())
}

async fn list(session: &Session) -> Result<(), CliError> {
    let answer = session.client.get("/longshore/mounts", Call::default()).await;
    let mounts: Vec<MountedImage> = answer.map_err(foreign)?.json().await?;
    for mount in mounts {
        output::print_line(&format!("{} on {}", mount.image, mount.directory))?;
    }
    Ok(())
}

fn foreign(error: CliError) -> CliError {
    error.of_another_daemon("mount images", "use `longshore --data-root DIR mount`")
}
