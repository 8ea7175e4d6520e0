//! `POST /longshore/mount` and `/longshore/umount`, `GET /longshore/mounts`: routes of ours.

use std::path::PathBuf;

use api::mount::MountedImage;
use engine::MountRequest;
use http::StatusCode;

use super::Answer;
use super::parameters::platform;
use crate::connection::Call;
use crate::operation::Operation;
use crate::{Daemon, reply};

/// Mounts `image` on `directory`, an absolute path where the daemon runs.
pub(super) async fn mount(daemon: &Daemon, call: &Call) -> Answer {
    let request = MountRequest {
        name: call.query.get("image").to_owned(),
        platform: platform(call, 0)?,
        directory: PathBuf::from(call.query.get("directory")),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.mount(request, progress).await }).answer().await
}

/// Takes an image off `directory`.
pub(super) async fn unmount(daemon: &Daemon, call: &Call) -> Answer {
    daemon.engine().unmount(PathBuf::from(call.query.get("directory"))).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Lists what is mounted.
pub(super) async fn list(daemon: &Daemon) -> Answer {
    let mounts = daemon.engine().mounts().await?;
    let documents: Vec<_> = mounts
        .into_iter()
        .map(|mount| MountedImage {
            image: mount.image.to_string(),
            directory: mount.directory.display().to_string(),
        })
        .collect();
    Ok(reply::json(StatusCode::OK, &documents))
}
