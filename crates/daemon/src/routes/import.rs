//! `POST /images/create?fromSrc=…`: an image of a tar.

use std::io;

use engine::{ImportRequest, ImportSource};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Answer;
use super::archives::drain;
use super::images::tagged;
use super::parameters::written_platform;
use crate::Daemon;
use crate::connection::{Call, discard};
use crate::errors::Failure;
use crate::operation::Operation;

/// Imports the body, or what a URL gives.
pub(super) async fn run(daemon: &Daemon, call: &Call, mut body: Incoming) -> Answer {
    let source = call.query.get("fromSrc");
    let mut request = match request(call) {
        Ok(request) => request,
        Err(failure) => {
            discard(&call.headers, &mut body).await;
            return Err(failure);
        }
    };
    if source == "-" {
        request.source = ImportSource::Body;
    } else {
        discard(&call.headers, &mut body).await;
    }
    let engine = daemon.engine().clone();
    let mut body = body.into_data_stream().map(|chunk| chunk.map_err(io::Error::other));
    let import = Operation::start(|progress| async move {
        let result = engine.import(request, &mut body, progress).await;
        if result.is_err() {
            drain(&mut body).await;
        }
        result
    });
    import.answer().await
}

fn request(call: &Call) -> Result<ImportRequest, Failure> {
    let query = &call.query;
    let platform = written_platform(call)?;
    let reference = match query.get("repo") {
        "" => None,
        repository => Some(tagged(repository, query.get("tag"))?),
    };
    Ok(ImportRequest {
        source: ImportSource::Url(query.get("fromSrc").to_owned()),
        reference,
        message: query.get("message").to_owned(),
        changes: query.all("changes").map(str::to_owned).collect(),
        platform,
    })
}
