//! `GET /images/{name}/history`.

use api::image::HistoryItem;
use engine::HistoryStep;
use http::StatusCode;

use super::Answer;
use super::parameters::platform;
use crate::connection::Call;
use crate::{Daemon, reply};

/// What stands for an image that is not here, only a step of another's history.
const MISSING: &str = "<missing>";

pub(super) async fn history(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    let platform = platform(call, 48)?;
    let steps = daemon.engine().history(name, platform).await?;
    let documents: Vec<_> = steps.into_iter().map(document).collect();
    Ok(reply::json(StatusCode::OK, &documents))
}

fn document(step: HistoryStep) -> HistoryItem {
    HistoryItem {
        comment: step.comment,
        created: step.created,
        created_by: step.created_by,
        id: step.id.map_or_else(|| MISSING.to_owned(), |id| id.to_string()),
        size: i64::try_from(step.size).unwrap_or(i64::MAX),
        tags: (!step.tags.is_empty()).then_some(step.tags),
    }
}
