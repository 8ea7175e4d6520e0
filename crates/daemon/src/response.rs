//! Answers and their bodies.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;

/// The body of an answer. What it holds ends with it: a client that goes away drops the body. An error breaks the
/// connection off, so that what was sent cannot be taken for the whole.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer that is complete.
pub(crate) fn full(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    full(status, Bytes::new())
}

/// A JSON document, ended by a newline as dockerd ends it.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(document) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            let mut response = full(status, bytes);
            set_type(&mut response, "application/json");
            response
        }
        // No document of ours has a map with keys that are not text, the one thing that JSON cannot hold.
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            full(StatusCode::INTERNAL_SERVER_ERROR, "{\"message\":\"internal error\"}\n")
        }
    }
}

/// A body that is written while it comes into being.
pub(crate) fn stream(
    content_type: &'static str,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Body> {
    fallible_stream(content_type, chunks.map(Ok))
}

/// A body that is written while it comes into being, and that may fail on the way.
pub(crate) fn fallible_stream(
    content_type: &'static str,
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Response<Body> {
    let frames = chunks.map(|chunk| chunk.map(Frame::data));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    set_type(&mut response, content_type);
    response
}

/// A body that holds something until it ends, or is dropped.
pub(crate) fn holding<G: Send + Unpin + 'static>(body: Body, held: G) -> Body {
    Holding { body, _held: held }.boxed_unsync()
}

struct Holding<G> {
    body: Body,
    _held: G,
}

impl<G: Unpin> hyper::body::Body for Holding<G> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn set_type(response: &mut Response<Body>, content_type: &'static str) {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
}
