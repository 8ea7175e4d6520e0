//! `POST /images/create?fromSrc=…`: an image of a tar.

use std::io;

use engine::{ImportRequest, ImportSource};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::archives::drain;
use super::images::tagged;
use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::progress::Operation;
use crate::request::ApiRequest;
use crate::request::body::discard;
use crate::request::parameters::written_platform;

/// Imports the body, or what a URL gives.
pub(super) async fn run(daemon: &Daemon, request: &ApiRequest, mut body: Incoming) -> Answer {
    let source = request.query.get("fromSrc");
    let mut import = match import_request(request) {
        Ok(import) => import,
        Err(failure) => {
            discard(&request.headers, &mut body).await;
            return Err(failure);
        }
    };
    if source == "-" {
        import.source = ImportSource::Body;
    } else {
        discard(&request.headers, &mut body).await;
    }
    let engine = daemon.engine().clone();
    let mut body = body.into_data_stream().map(|chunk| chunk.map_err(io::Error::other));
    let operation = Operation::start(|progress| async move {
        let result = engine.import(import, &mut body, progress).await;
        if result.is_err() {
            drain(&mut body).await;
        }
        result
    });
    operation.answer().await
}

fn import_request(request: &ApiRequest) -> Result<ImportRequest, HttpError> {
    let query = &request.query;
    let platform = written_platform(request)?;
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
