//! Answers of a script.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

/// One answer; `Answer::default()` is an empty 200.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    end: End,
    chunked: bool,
    until_close: bool,
    pub(super) fate: Fate,
    /// The path that must have been asked for before.
    pub(super) after: Option<String>,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Fate {
    /// It is answered.
    #[default]
    Answer,
    /// The connection ends instead, after the request was read.
    HangUp,
    /// The connection ends once so many bytes of the request's body were read.
    HangUpInRequest(usize),
    /// Nothing ever comes.
    Silence,
}

/// The end of an answer's body.
#[derive(Clone, Copy, Debug, Default)]
enum End {
    #[default]
    Whole,
    /// The connection breaks after so many bytes.
    Cut(usize),
    /// Nothing more comes after so many bytes, and the connection stays open.
    Stall(usize),
    /// The body is repeated for ever.
    Endless,
}

impl Answer {
    /// Makes an empty answer.
    ///
    /// # Panics
    ///
    /// If `status` is not an HTTP status.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a test's own status"),
            ..Self::default()
        }
    }

    /// Makes a redirect to `location`.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location)
    }

    /// Makes an error as registries do, with a detail, as Docker's has one.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({
            "errors": [{ "code": code, "message": message, "detail": { "scripted": true } }]
        });
        Self::status(status).json(body.to_string())
    }

    /// Ends the connection instead of answering.
    pub fn hang_up() -> Self {
        Self { fate: Fate::HangUp, ..Self::default() }
    }

    /// Ends the connection after `bytes` bytes of the request's body.
    pub fn hang_up_in_request(bytes: usize) -> Self {
        Self { fate: Fate::HangUpInRequest(bytes), ..Self::default() }
    }

    /// Never answers.
    pub fn silence() -> Self {
        Self { fate: Fate::Silence, ..Self::default() }
    }

    /// Adds a header; one that is there already stays.
    ///
    /// # Panics
    ///
    /// If name or value cannot be in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name: HeaderName = name.parse().expect("a test's own header");
        let value = HeaderValue::from_str(value.as_ref()).expect("a test's own header");
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body with its content type.
    #[must_use]
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.header("content-type", "application/json; charset=utf-8").body(body)
    }

    /// Breaks the connection after `bytes` bytes of the body, whose whole length was announced.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.end = End::Cut(bytes);
        self
    }

    /// Stops sending after `bytes` bytes of the body.
    #[must_use]
    pub fn stall_after(mut self, bytes: usize) -> Self {
        self.end = End::Stall(bytes);
        self
    }

    /// Repeats the body for ever, without a length.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.end = End::Endless;
        self.chunked = true;
        self
    }

    /// Is given only once there was a request for `path`, be it before or after the one that it answers.
    #[must_use]
    pub fn after(mut self, path: &str) -> Self {
        self.after = Some(path.to_owned());
        self
    }

    /// Sends the body in chunks, without a length.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sends the body until the connection ends, as HTTP/1.0 does: neither a length nor chunks.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.until_close = true;
        self.chunked = true;
        self
    }

    pub(super) fn into_response(self) -> Response<AnswerBody> {
        let mut response = Response::new(AnswerBody {
            length: (!self.chunked).then_some(self.body.len() as u64),
            rest: self.body,
            sent: 0,
            end: self.end,
            flushed: false,
        });
        *response.status_mut() = self.status;
        if self.until_close {
            *response.version_mut() = http::Version::HTTP_10;
        }
        *response.headers_mut() = self.headers;
        response
    }
}

/// Returns a `WWW-Authenticate` value that asks for a token of `realm`.
pub fn challenge_bearer(realm: &str, service: &str) -> (&'static str, String) {
    (header::WWW_AUTHENTICATE.as_str(), format!(r#"Bearer realm="{realm}",service="{service}""#))
}

/// Returns a `WWW-Authenticate` value that asks for a user name and password.
pub fn challenge_basic() -> (&'static str, String) {
    (header::WWW_AUTHENTICATE.as_str(), r#"Basic realm="scripted""#.to_owned())
}

/// The body of an answer, with its scripted end.
pub(super) struct AnswerBody {
    length: Option<u64>,
    rest: Bytes,
    sent: usize,
    end: End,
    /// Set if the server had a chance to send everything before the connection breaks.
    flushed: bool,
}

/// Small enough that cuts come in the middle of a transfer.
const PIECE: usize = 16 << 10;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let until = match this.end {
            End::Whole => usize::MAX,
            End::Cut(bytes) if this.sent >= bytes && !this.flushed => {
                this.flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            End::Cut(bytes) if this.sent >= bytes => {
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
            }
            // Nobody is to wake this task: that is the stall.
            End::Stall(bytes) if this.sent >= bytes => return Poll::Pending,
            End::Cut(bytes) | End::Stall(bytes) => bytes - this.sent,
            End::Endless => return Poll::Ready(Some(Ok(Frame::data(this.rest.clone())))),
        };
        let take = this.rest.len().min(until).min(PIECE);
        if take == 0 {
            return Poll::Ready(None);
        }
        this.sent += take;
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(take)))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::Whole) && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            // The hint counts what is left.
            Some(length) => SizeHint::with_exact(length - self.sent as u64),
            None => SizeHint::default(),
        }
    }
}
