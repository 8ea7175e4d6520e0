//! `GET /longshore/diff`, a route of ours: what of an image's files differs from another one's.

use bytes::Bytes;
use engine::DiffRequest;
use futures_util::stream;
use serde::Serialize;

use crate::daemon::Daemon;
use crate::documents::diff::{change, summary};
use crate::errors::Answer;
use crate::request::ApiRequest;
use crate::response;

/// Lines that are written at once.
const LINES: usize = 512;

/// Compares the image `to` with `from`; without that, each layer with those below it.
pub(super) async fn diff(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let from = Some(request.query.get("from").to_owned()).filter(|from| !from.is_empty());
    let to = request.query.get("to").to_owned();
    let mut diff = daemon.engine().diff(DiffRequest { from, to }).await?;
    let changes = std::mem::take(&mut diff.changes);
    let first = lines([summary(&diff)]);
    let mut changes = changes.into_iter();
    let rest = std::iter::from_fn(move || {
        let bytes = lines(changes.by_ref().take(LINES).map(|one| change(&one)));
        (!bytes.is_empty()).then_some(bytes)
    });
    Ok(response::stream("application/json", stream::iter([first].into_iter().chain(rest))))
}

fn lines(documents: impl IntoIterator<Item = impl Serialize>) -> Bytes {
    let mut bytes = Vec::new();
    for document in documents {
        // No document of ours has a map with keys that are not text, the one thing that JSON cannot hold.
        if let Ok(line) = serde_json::to_vec(&document) {
            bytes.extend(line);
            bytes.push(b'\n');
        }
    }
    bytes.into()
}
