//! `GET /images/{name}/history`.

use http::StatusCode;

use crate::daemon::Daemon;
use crate::documents::images::history_item;
use crate::errors::Answer;
use crate::request::ApiRequest;
use crate::request::parameters::platform;
use crate::response;

/// Answers with the steps of an image's history.
pub(super) async fn history(daemon: &Daemon, request: &ApiRequest, name: &str) -> Answer {
    let platform = platform(request, 48)?;
    let steps = daemon.engine().history(name, platform).await?;
    let documents: Vec<_> = steps.into_iter().map(history_item).collect();
    Ok(response::json(StatusCode::OK, &documents))
}
