//! Request bodies: documents, and those that nobody wants.

use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::errors::HttpError;

/// The time for a document to arrive.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that is read of a body that nobody wants; what Go reads.
const MAX_DISCARDED: usize = 256 * 1024;
/// The time for such a body to arrive.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body of no more than `limit` bytes.
pub(crate) async fn document(body: Incoming, limit: usize) -> Result<Bytes, HttpError> {
    let body = Limited::new(body, limit).collect();
    let body = tokio::time::timeout(DOCUMENT_TIMEOUT, body).await.map_err(|_| {
        HttpError::new(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time")
    })?;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large"),
        None => HttpError::invalid(format!("the request's body cannot be read: {error}")),
    })?;
    Ok(body.to_bytes())
}

/// Reads a body that nobody wants, as far as that is cheap: a client that is still writing when the answer ends the
/// connection would see a broken pipe and not the answer.
pub(crate) async fn discard(headers: &HeaderMap, body: &mut Incoming) {
    // Who waits to be told to go on is told to stop by the answer.
    if headers.contains_key(EXPECT) {
        return;
    }
    let body = Limited::new(body, MAX_DISCARDED).collect();
    // What is wrong with a body that nobody wants is nobody's concern.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, body).await;
}
