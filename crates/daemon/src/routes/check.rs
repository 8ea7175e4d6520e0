//! `POST /longshore/system/check`, a route of ours: what is wrong in the data root.

use engine::CheckRequest;
use http::Response;

use crate::daemon::Daemon;
use crate::progress::Operation;
use crate::request::ApiRequest;
use crate::response::Body;

/// Answers with a progress stream; the last line's `aux` is the report.
pub(super) fn check(daemon: &Daemon, request: &ApiRequest) -> Response<Body> {
    let check = CheckRequest {
        deep: request.query.boolean("deep"),
        repair: request.query.boolean("repair"),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.check(check, progress).await }).answer_now()
}
