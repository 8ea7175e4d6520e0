//! `POST /longshore/unpack`, a route of ours: an image as a directory of files.

use std::path::PathBuf;

use engine::UnpackRequest;

use crate::daemon::Daemon;
use crate::errors::Answer;
use crate::progress::Operation;
use crate::request::ApiRequest;
use crate::request::parameters::platform;

/// Unpacks `image` into `directory`, an absolute path where the daemon runs.
pub(super) async fn unpack(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let unpack = UnpackRequest {
        name: request.query.get("image").to_owned(),
        platform: platform(request, 0)?,
        directory: PathBuf::from(request.query.get("directory")),
        bundle: request.query.boolean("bundle"),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.unpack(unpack, progress).await }).answer().await
}
