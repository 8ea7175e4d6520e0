//! Errors: [`ServerError`] for the operator, [`Failure`] for a client.

use std::io;
use std::path::{Path, PathBuf};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use spec::Digest;

/// An error of the registry's folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Another server has the folder open.
    #[error("the registry folder `{}` is in use by another process", root.display())]
    InUse {
        /// The folder.
        root: PathBuf,
    },
    /// A file of the folder holds what this server never writes.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        reason: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// Action that failed, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The file system's answer.
        #[source]
        source: io::Error,
    },
}

/// Names the file in an I/O error.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, ServerError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, ServerError> {
        self.map_err(|source| ServerError::Io { action, path: path.to_owned(), source })
    }
}

/// The error codes of the distribution specification (and of Docker's registry API, which it came
/// from) that this server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unavailable,
    Unknown,
    Unsupported,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Code::BlobUnknown => "BLOB_UNKNOWN",
            Code::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Code::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Code::DigestInvalid => "DIGEST_INVALID",
            Code::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Code::ManifestInvalid => "MANIFEST_INVALID",
            Code::ManifestUnknown => "MANIFEST_UNKNOWN",
            Code::NameInvalid => "NAME_INVALID",
            Code::NameUnknown => "NAME_UNKNOWN",
            Code::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Code::RangeInvalid => "RANGE_INVALID",
            Code::SizeInvalid => "SIZE_INVALID",
            Code::TagInvalid => "TAG_INVALID",
            Code::TooManyRequests => "TOOMANYREQUESTS",
            Code::Unavailable => "UNAVAILABLE",
            Code::Unknown => "UNKNOWN",
            Code::Unsupported => "UNSUPPORTED",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Code::BlobUnknown
            | Code::BlobUploadUnknown
            | Code::ManifestUnknown
            | Code::NameUnknown => StatusCode::NOT_FOUND,
            Code::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request that was not served: the answer, and the reason that only the log gets.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) message: String,
    /// One error of the answer each; none means one error without detail.
    pub(crate) details: Vec<Value>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) cause: Option<Box<ServerError>>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure {
            status: code.status(),
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn blob_unknown(digest: &Digest) -> Failure {
        Failure::new(Code::BlobUnknown, "blob unknown to registry")
            .detail(json!({ "digest": digest.to_string() }))
    }

    pub(crate) fn manifest_unknown(reference: &str) -> Failure {
        Failure::new(Code::ManifestUnknown, "manifest unknown")
            .detail(json!({ "reference": reference }))
    }

    pub(crate) fn upload_unknown() -> Failure {
        Failure::new(Code::BlobUploadUnknown, "blob upload unknown to registry")
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Failure {
        self.status = status;
        self
    }

    pub(crate) fn detail(mut self, detail: Value) -> Failure {
        self.details.push(detail);
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Failure {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn headers(mut self, headers: &HeaderMap) -> Failure {
        self.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// The answer's body, by the specification's form.
    pub(crate) fn body(&self) -> Value {
        let one = |detail: Option<&Value>| {
            let mut error = json!({ "code": self.code.as_str(), "message": self.message });
            if let Some(detail) = detail {
                error["detail"] = detail.clone();
            }
            error
        };
        let errors: Vec<Value> = if self.details.is_empty() {
            vec![one(None)]
        } else {
            self.details.iter().map(|detail| one(Some(detail))).collect()
        };
        json!({ "errors": errors })
    }
}

impl From<ServerError> for Failure {
    /// The client learns that it was the server, and of a full disk, which it may act upon; paths
    /// stay here.
    fn from(cause: ServerError) -> Failure {
        let full = matches!(&cause, ServerError::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
        let failure = if full {
            Failure::new(Code::Unknown, "the registry's disk is full")
                .status(StatusCode::INSUFFICIENT_STORAGE)
        } else {
            Failure::new(Code::Unknown, "the registry could not read or write its storage")
        };
        Failure { cause: Some(Box::new(cause)), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_one_error_a_detail() {
        let none = Failure::new(Code::NameUnknown, "no such name");
        assert_eq!(
            none.body(),
            json!({"errors": [{"code": "NAME_UNKNOWN", "message": "no such name"}]})
        );
        let two = Failure::new(Code::ManifestBlobUnknown, "m").detail(json!(1)).detail(json!(2));
        assert_eq!(two.body()["errors"].as_array().map(Vec::len), Some(2));
        assert_eq!(two.body()["errors"][1]["detail"], json!(2));
    }

    #[test]
    fn a_clients_answer_does_not_name_the_servers_files() {
        for (kind, status) in
            [(io::ErrorKind::PermissionDenied, 500), (io::ErrorKind::StorageFull, 507)]
        {
            let failed: io::Result<()> = Err(kind.into());
            let failure =
                Failure::from(failed.context("write", Path::new("/secret/x")).unwrap_err());
            assert_eq!(failure.status.as_u16(), status);
            assert!(!failure.body().to_string().contains("secret"));
        }
    }
}
