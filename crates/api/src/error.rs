//! Errors in a request's own text, and the document that carries an error to a client.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A part of a request, or of a daemon's answer, that is not what the Engine API allows.
///
/// The texts of the daemon's side are dockerd's where dockerd has one.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The version segment of a path or of `DOCKER_API_VERSION` is not `MAJOR.MINOR`.
    #[error("invalid API version {0:?}")]
    Version(String),
    /// The `filters` parameter is not JSON of one of the two known forms.
    #[error("invalid filter")]
    Filters,
    /// A filter that the route does not know, or one without a value where it needs one.
    #[error("invalid filter '{0}'")]
    UnknownFilter(String),
    /// A filter with values that the route cannot use.
    #[error("invalid filter '{name}=[{values}]'")]
    FilterValue {
        /// The filter's name.
        name: String,
        /// The values as sent, separated by a space.
        values: String,
    },
    /// `X-Registry-Auth` or the body of `/auth` does not hold credentials.
    #[error("invalid X-Registry-Auth header: {0}")]
    Auth(String),
    /// The JSON of a `platform` parameter is malformed.
    #[error("failed to parse platform: {0}")]
    PlatformJson(#[source] serde_json::Error),
    /// The JSON of a `platform` parameter is well-formed and says too little.
    #[error("{0}")]
    PlatformFields(&'static str),
    /// A percent escape is cut off or has no two hexadecimal digits.
    #[error("invalid URL escape {0:?}")]
    Escape(String),
    /// A path or query is not UTF-8 after unescaping.
    #[error("invalid URL: not UTF-8 text")]
    NotUtf8,
    /// One value of a JSON stream is larger than [`crate::MAX_VALUE_SIZE`].
    #[error("a value of the stream is larger than {0} bytes")]
    StreamValueTooLarge(usize),
    /// A JSON stream holds something else than JSON objects.
    #[error("the stream is not a sequence of JSON objects")]
    StreamSyntax,
    /// One object of a JSON stream is not the expected document.
    #[error("unexpected value in the stream: {0}")]
    StreamValue(#[source] serde_json::Error),
    /// A JSON stream ended inside a value.
    #[error("unexpected EOF")]
    StreamEnd,
}

/// The body of every answer that is not a success: `{"message": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// Text for a user.
    pub message: String,
}
