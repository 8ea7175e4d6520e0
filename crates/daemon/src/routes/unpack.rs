//! `POST /longshore/unpack`, a route of ours: an image as a directory of files.

use std::path::PathBuf;

use engine::UnpackRequest;

use super::Answer;
use super::parameters::platform;
use crate::Daemon;
use crate::connection::Call;
use crate::operation::Operation;

/// Unpacks `image` into `directory`, an absolute path where the daemon runs.
pub(super) async fn unpack(daemon: &Daemon, call: &Call) -> Answer {
    let request = UnpackRequest {
        name: call.query.get("image").to_owned(),
        platform: platform(call, 0)?,
        directory: PathBuf::from(call.query.get("directory")),
        bundle: call.query.boolean("bundle"),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.unpack(request, progress).await })
        .answer()
        .await
}
