//! Answers of the daemon.

use std::fmt;
use std::marker::PhantomData;

use api::message::Message;
use api::{ErrorResponse, JsonStream};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};

use crate::error::CliError;

/// The largest document that is read: the list of a hundred thousand images is smaller.
const MAX_DOCUMENT: usize = 256 * 1024 * 1024;
/// The largest error that is read: more is not for a terminal.
const MAX_ERROR: usize = 1024 * 1024;

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Response {
    inner: hyper::Response<Incoming>,
}

impl Response {
    pub(super) fn new(inner: hyper::Response<Incoming>) -> Response {
        Response { inner }
    }

    /// Returns a header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Says whether a daemon of Longshore's has answered.
    pub(crate) fn is_longshores(&self) -> bool {
        self.header("server").is_some_and(|name| name.starts_with("Longshore/"))
    }

    /// Reads what is left, so that the connection can be used again; a body that is no end is left alone.
    pub(super) async fn drain(mut self) {
        let _ = body(&mut self.inner, MAX_ERROR).await;
    }

    /// Returns the answer if it is a success, else the error that it tells.
    pub(super) async fn checked(mut self, path: &str) -> Result<Response, CliError> {
        let status = self.inner.status();
        if status.is_success() || status.is_redirection() || status.is_informational() {
            return Ok(self);
        }
        let is_json =
            self.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        let body = body(&mut self.inner, MAX_ERROR).await?;
        Err(CliError::Daemon {
            status: status.as_u16(),
            message: error_message(status, &body, is_json, path),
        })
    }

    /// Reads the whole body.
    pub(crate) async fn bytes(mut self) -> Result<Bytes, CliError> {
        body(&mut self.inner, MAX_DOCUMENT).await
    }

    /// Returns the next piece of the body, or `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, CliError> {
        while let Some(frame) = self.inner.frame().await {
            if let Ok(data) = frame.map_err(CliError::Transport)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads the body as a JSON document.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, CliError> {
        serde_json::from_slice(&self.bytes().await?).map_err(CliError::AnswerJson)
    }

    /// Reads the body as a JSON list and hands over its items one by one, so that they need not all be in memory.
    pub(crate) async fn each<T: DeserializeOwned>(
        self,
        take: impl FnMut(T),
    ) -> Result<(), CliError> {
        let bytes = self.bytes().await?;
        let mut document = serde_json::Deserializer::from_slice(&bytes);
        let items = Items { take, item: PhantomData };
        let read = document.deserialize_seq(items).and_then(|()| document.end());
        read.map_err(CliError::AnswerJson)
    }

    /// Reads the body as a stream of documents: of progress, of events.
    pub(crate) fn messages<T: DeserializeOwned>(self) -> Messages<T> {
        Messages { body: self.inner.into_body(), stream: JsonStream::new() }
    }
}

/// Takes the items of a JSON list.
struct Items<F, T> {
    take: F,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Items<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.take)(item);
        }
        Ok(())
    }
}

/// The documents of a stream, as they arrive.
pub(crate) struct Messages<T = Message> {
    body: Incoming,
    stream: JsonStream<T>,
}

impl<T: DeserializeOwned> Messages<T> {
    /// Returns the next document, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, CliError> {
        loop {
            if let Some(message) = self.stream.next_value()? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                self.stream.finish()?;
                return Ok(None);
            };
            if let Ok(data) = frame.map_err(CliError::Transport)?.into_data() {
                self.stream.push(&data);
            }
        }
    }
}

async fn body(response: &mut hyper::Response<Incoming>, limit: usize) -> Result<Bytes, CliError> {
    // Most answers say how long they are.
    let length = response.body().size_hint().lower();
    let mut bytes = BytesMut::with_capacity(usize::try_from(length).map_or(0, |n| n.min(limit)));
    while let Some(frame) = response.frame().await {
        let Ok(data) = frame.map_err(CliError::Transport)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(CliError::AnswerSize(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Returns the words of an error: the `message` of JSON, or the text as it is.
fn error_message(status: StatusCode, body: &[u8], is_json: bool, path: &str) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return format!(
            "request returned {} {reason} for API route {path}, check if the server supports the requested API version",
            status.as_u16()
        );
    }
    if !is_json {
        return text.to_owned();
    }
    match serde_json::from_slice::<ErrorResponse>(body) {
        Ok(error) if !error.message.trim().is_empty() => error.message.trim().to_owned(),
        _ => format!("API returned a {} ({reason}) but provided no error-message", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_the_daemons_words() {
        for (body, is_json, expected) in [
            (r#"{"message":"No such image: x:latest\n"}"#, true, "No such image: x:latest"),
            (
                r#"{"message":""}"#,
                true,
                "API returned a 404 (Not Found) but provided no error-message",
            ),
            ("{}", true, "API returned a 404 (Not Found) but provided no error-message"),
            ("no JSON", true, "API returned a 404 (Not Found) but provided no error-message"),
            ("404 page not found\n", false, "404 page not found"),
            (
                " \n",
                false,
                "request returned 404 Not Found for API route /x, check if the server supports the requested API version",
            ),
        ] {
            assert_eq!(
                error_message(StatusCode::NOT_FOUND, body.as_bytes(), is_json, "/x"),
                expected
            );
        }
    }
}
