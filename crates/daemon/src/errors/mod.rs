//! Errors in HTTP: the status of each kind of error, and its document.

pub(crate) mod operations;

use api::{ApiError, ErrorResponse};
use engine::{EngineError, ErrorKind};
use http::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use spec::{PlatformError, ReferenceError};

use crate::prune::policy::PolicyError;
use crate::response::{self, Body};

/// A response, or the error that is the response.
pub(crate) type Answer = Result<Response<Body>, HttpError>;

/// The first version of the API whose clients expect errors as JSON; older ones print the body as it is.
const JSON_ERRORS_SINCE: u32 = 24;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct HttpError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// An object that the request names does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The request asks for a part of Docker that Longshore does not have.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// The answer for a client that speaks 1.`minor`.
    pub(crate) fn response(self, speaks: api::ApiVersion) -> Response<Body> {
        if speaks.at_least(JSON_ERRORS_SINCE) {
            return response::json(self.status, &ErrorResponse { message: self.message });
        }
        let mut response = response::full(self.status, self.message + "\n");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

impl From<PolicyError> for HttpError {
    fn from(error: PolicyError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<EngineError> for HttpError {
    fn from(error: EngineError) -> Self {
        Self::new(status(error.kind()), error.message())
    }
}

impl From<ApiError> for HttpError {
    fn from(error: ApiError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<ReferenceError> for HttpError {
    fn from(error: ReferenceError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<PlatformError> for HttpError {
    fn from(error: PlatformError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// The status that dockerd answers for a kind of error.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidParameter => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Cancelled | ErrorKind::System => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use api::ApiVersion;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(response: Response<Body>) -> (StatusCode, String, String) {
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, content_type, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn old_clients_get_text_and_others_json() {
        let failure = || HttpError::invalid("no \"good\"");
        let (status, kind, body) = text(failure().response(ApiVersion::CURRENT)).await;
        assert_eq!((status, kind.as_str()), (StatusCode::BAD_REQUEST, "application/json"));
        assert_eq!(body, "{\"message\":\"no \\\"good\\\"\"}\n");
        assert_eq!(text(failure().response(ApiVersion::new(1, 24))).await.2, body);
        let (status, kind, body) = text(failure().response(ApiVersion::new(1, 23))).await;
        assert_eq!((status, kind.as_str()), (StatusCode::BAD_REQUEST, "text/plain; charset=utf-8"));
        assert_eq!(body, "no \"good\"\n");
    }

    #[test]
    fn every_kind_has_dockerds_status() {
        let table = [
            (ErrorKind::InvalidParameter, 400),
            (ErrorKind::Unauthorized, 401),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Cancelled, 500),
            (ErrorKind::System, 500),
        ];
        for (kind, expected) in table {
            assert_eq!(status(kind).as_u16(), expected, "{kind:?}");
        }
        let failure = HttpError::from(EngineError::NoSuchImage("nosuch:latest".into()));
        assert_eq!(
            (failure.status.as_u16(), failure.message.as_str()),
            (404, "No such image: nosuch:latest")
        );
    }
}
