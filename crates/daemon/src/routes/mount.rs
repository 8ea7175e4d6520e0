//! `POST /longshore/mount` and `/longshore/umount`, `GET /longshore/mounts`: routes of ours.

use std::path::PathBuf;

use api::mount::MountedImage;
use engine::MountRequest;
use http::StatusCode;

use crate::daemon::Daemon;
use crate::errors::Answer;
use crate::progress::Operation;
use crate::request::ApiRequest;
use crate::request::parameters::platform;
use crate::response;

/// Mounts `image` on `directory`, an absolute path where the daemon runs.
pub(super) async fn mount(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let mount = MountRequest {
        name: request.query.get("image").to_owned(),
        platform: platform(request, 0)?,
        directory: PathBuf::from(request.query.get("directory")),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.mount(mount, progress).await }).answer().await
}

/// Takes an image off `directory`.
pub(super) async fn unmount(daemon: &Daemon, request: &ApiRequest) -> Answer {
    daemon.engine().unmount(PathBuf::from(request.query.get("directory"))).await?;
    Ok(response::empty(StatusCode::NO_CONTENT))
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
    Ok(response::json(StatusCode::OK, &documents))
}
