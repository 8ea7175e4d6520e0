//! Responses: the headers that all of them have, and bodies that are streamed from files.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use spec::Digest;
use tokio::task::JoinHandle;

use crate::error::Failure;

/// The body of every response.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(crate) const OCI_FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    with_body(status, Bytes::new())
}

/// A response with a JSON document.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    // Only maps with keys that are no strings cannot be written, and there are none here.
    let bytes = serde_json::to_vec(document).unwrap_or_default();
    let mut response = with_body(status, bytes.into());
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A response with bytes that are in memory.
pub(crate) fn with_body(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert(API_VERSION, version);
    response
}

/// A body that holds something until it ends, or its connection does.
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

/// The answer to a request that failed.
pub(crate) fn failure(failure: &Failure) -> Response<Body> {
    let mut response = json(failure.status, &failure.body());
    response.headers_mut().extend(failure.headers.iter().cloned());
    response
}

/// Sets a header whose value is made of names, digests and numbers, which are all visible ASCII.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Names the content of a response.
pub(crate) fn set_digest(headers: &mut HeaderMap, digest: &Digest) {
    set(headers, CONTENT_DIGEST, &digest.to_string());
    set(headers, ETAG, &etag(digest));
}

/// A response to what created something at `location`.
pub(crate) fn created(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = empty(status);
    set(response.headers_mut(), LOCATION, location);
    response
}

/// The entity tag of content: it never changes.
pub(crate) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Says whether the client has this content already.
pub(crate) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    let Some(known) = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag(digest))
}

/// Sets the length of what a HEAD leaves out.
pub(crate) fn set_length(headers: &mut HeaderMap, length: u64) {
    headers.insert(CONTENT_LENGTH, length.into());
}

/// Streams a part of a file in pieces: each is read, on a blocking thread, while the one before it
/// is being sent.
pub(crate) fn stream_file(file: File, range: Range<u64>, piece: usize) -> Body {
    let next = Reading { file, next: range.start, end: range.end, piece: piece as u64 };
    let chunks = stream::try_unfold(next.start(), async |reading: Option<Read>| {
        let Some(reading) = reading else { return Ok(None) };
        let (chunk, rest) = reading.await.map_err(io::Error::other)??;
        Ok(Some((Frame::data(chunk), rest.start())))
    });
    StreamBody::new(chunks).boxed_unsync()
}

type Read = JoinHandle<io::Result<(Bytes, Reading)>>;

struct Reading {
    file: File,
    next: u64,
    end: u64,
    piece: u64,
}

impl Reading {
    /// Begins to read the next chunk, if there is one.
    fn start(self) -> Option<Read> {
        (self.next < self.end).then(|| tokio::task::spawn_blocking(move || self.read()))
    }

    fn read(mut self) -> io::Result<(Bytes, Reading)> {
        let size = self.piece.min(self.end - self.next);
        let mut chunk = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        self.file.seek(SeekFrom::Start(self.next))?;
        (&mut self.file).take(size).read_to_end(&mut chunk)?;
        if chunk.len() as u64 != size {
            // Sending less than was promised is the only way left to say so.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.next += size;
        Ok((chunk.into(), self))
    }
}
