//! `POST /longshore/unpack`, a route of ours: an image as a directory of files.

use std::path::PathBuf;

use api::decode_platform;
use engine::UnpackRequest;

use super::Answer;
use crate::Daemon;
use crate::connection::Call;
use crate::operation::Operation;

/// Unpacks `image` into `directory`, an absolute path where the daemon runs.
pub(super) async fn unpack(daemon: &Daemon, call: &Call) -> Answer {
    let platform = match call.query.get("platform") {
        "" => None,
        platform => Some(decode_platform(platform)?),
    };
    let request = UnpackRequest {
        name: call.query.get("image").to_owned(),
        platform,
        directory: PathBuf::from(call.query.get("directory")),
        bundle: call.query.boolean("bundle"),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.unpack(request, progress).await })
        .answer()
        .await
}
