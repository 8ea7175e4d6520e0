//! The routes that make and read archives of images.

use std::io;
use std::time::Duration;

use api::message::FACTS_HEADER;
use api::{
    ARCHIVE_HEEDED_HEADER, ARCHIVE_NOTE_HEADER, ARCHIVE_SIZE_HEADER, ApiVersion, decode_platform,
};
use bytes::Bytes;
use engine::{LoadRequest, Platforms, SaveRequest};
use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use spec::Platform;

use crate::daemon::Daemon;
use crate::errors::operations::operation_name;
use crate::errors::{Answer, HttpError};
use crate::progress::{Operation, incomplete, referrers_left_out};
use crate::request::ApiRequest;
use crate::response;

/// The version of the API since which these routes take platforms, and that since which they take several.
const PLATFORM_SINCE: u32 = 48;
const PLATFORMS_SINCE: u32 = 52;
/// The most that is read of an archive that has failed, so that the client comes to read why.
const MAX_REST: u64 = 64 << 20;
/// The time for the rest of such an archive.
const REST_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /images/get` and `GET /images/{name}/get`: save.
pub(super) async fn save(daemon: &Daemon, request: &ApiRequest, names: Vec<String>) -> Answer {
    let platforms = wanted(request)?;
    // Ours: images that the reader has, and what refers to those that are saved.
    let since = request.query.all("since").map(str::to_owned).collect();
    let referrers = request.query.boolean("referrers");
    let archive = daemon.engine().save(SaveRequest { names, platforms, since, referrers }).await?;
    let size = archive.size();
    let without = archive.incomplete();
    let incomplete = (!without.is_empty()).then(|| incomplete(without)).into_iter();
    let notes = incomplete.chain(referrers_left_out(archive.referrers_left_out()));
    let notes: Vec<String> = notes.collect();
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    let (daemon, operation) = (daemon.clone(), operation_name(&request.headers));
    let bytes = archive.into_stream().map(move |piece| {
        piece.map_err(|error| {
            // The client sees that the archive breaks off; why is in the log, and told to who asks.
            tracing::error!(error = error.message(), "an archive could not be completed");
            if let Some(operation) = &operation {
                daemon.operation_errors().record(operation.clone(), error.message());
            }
            io::Error::other(error.message())
        })
    });
    let mut response = response::fallible_stream("application/x-tar", bytes);
    if request.headers.contains_key(FACTS_HEADER) {
        response.headers_mut().insert(ARCHIVE_SIZE_HEADER, HeaderValue::from(size));
    }
    let heeded = ["since", "referrers"].into_iter().filter(|name| request.query.contains(name));
    let heeded = heeded.collect::<Vec<_>>().join(",");
    if let Some(heeded) = HeaderValue::try_from(heeded).ok().filter(|names| !names.is_empty()) {
        response.headers_mut().insert(ARCHIVE_HEEDED_HEADER, heeded);
    }
    // What no header takes is no name of ours.
    if let Some(note) = note.and_then(|note| HeaderValue::try_from(note).ok()) {
        response.headers_mut().insert(ARCHIVE_NOTE_HEADER, note);
    }
    Ok(response)
}

/// `GET /longshore/failure`, a route of ours: why the answer to `operation` was broken off.
pub(super) fn failure(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let operation = request.query.get("operation");
    Err(match daemon.operation_errors().find(operation) {
        Some(message) => HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        None => HttpError::not_found(format!("no failure of an operation {operation} is known")),
    })
}

/// `POST /images/load`. As with dockerd, whatever is wrong with the archive is told in the stream.
pub(super) async fn load(daemon: &Daemon, request: &ApiRequest, body: Incoming) -> Answer {
    let platforms = wanted(request)?;
    let quiet = !request.query.contains("quiet") || request.query.boolean("quiet");
    let file = daemon.handed_files().take(&request.headers)?;
    let engine = daemon.engine().clone();
    let mut body = body.into_data_stream().map(|chunk| chunk.map_err(io::Error::other));
    let load = Operation::start(|progress| async move {
        let request = LoadRequest { platforms, quiet };
        if let Some(file) = file {
            return engine.load_file(request, file, progress).await.map_err(HttpError::from);
        }
        let result = engine.load(request, &mut body, progress).await;
        if result.is_err() {
            drain(&mut body).await;
        }
        result.map_err(HttpError::from)
    });
    Ok(load.asked_by(&request.headers).answer_when_it_speaks().await)
}

/// Reads on, for a client that reads no answer before all of its request is sent.
pub(super) async fn drain(body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin)) {
    let rest = async {
        let mut left = MAX_REST;
        while let Some(Ok(chunk)) = body.next().await {
            match left.checked_sub(chunk.len() as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(REST_TIMEOUT, rest).await;
}

/// The platforms that a request is about. That these are all is told by a parameter of ours, as in a pull.
fn wanted(request: &ApiRequest) -> Result<Platforms, HttpError> {
    let named = platforms(request)?;
    Ok(match (request.query.get("parts"), named.is_empty()) {
        ("all", true) => Platforms::All,
        ("all", false) => {
            return Err(HttpError::invalid(
                "conflicting options: parts and platform cannot both be set",
            ));
        }
        ("", true) => Platforms::Here,
        ("", false) => Platforms::These(named),
        (other, _) => {
            return Err(HttpError::invalid(format!("parts may be all, and not {other:?}")));
        }
    })
}

/// The platforms that a request names.
fn platforms(request: &ApiRequest) -> Result<Vec<Platform>, HttpError> {
    if !request.version.at_least(PLATFORM_SINCE) {
        return Ok(Vec::new());
    }
    let texts: Vec<&str> = request.query.all("platform").collect();
    if texts.len() > 1 && !request.version.at_least(PLATFORMS_SINCE) {
        return Err(HttpError::invalid(format!(
            "multiple platform parameters are not supported in this API version; use API version {} or later",
            ApiVersion::new(1, PLATFORMS_SINCE)
        )));
    }
    texts.into_iter().map(|text| Ok(decode_platform(text)?)).collect()
}
