//! Error answers of registries and token servers, read as Docker reads them.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use crate::{
    auth::challenge::challenges,
    error::fault::request_words,
    error::fields::{Fields, UNEXPECTED_END, no_object},
    error::redact::{clean, quoted},
    error::retry_after::{MAX_RETRY_AFTER, retry_after},
};

/// The most that is read of an error's body.
pub(crate) const MAX_ERROR_BODY: usize = 64 << 10;
/// The most of one message that is kept: it goes to a terminal.
const MAX_MESSAGE: usize = 4 << 10;
/// The most of a web page's title that is told.
const MAX_TITLE: usize = 120;
/// The most errors of one answer that are kept.
const MAX_ERRORS: usize = 16;

/// Code, default message and the status that a daemon answers for it (distribution specification, "Error Codes", and
/// Docker's additions). A code that is not here is shown as `unknown`, as Docker does.
const CODES: &[(&str, &str, u16)] = &[
    ("BLOB_UNKNOWN", "blob unknown to registry", 404),
    ("BLOB_UPLOAD_INVALID", "blob upload invalid", 404),
    ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404),
    ("DENIED", "requested access to the resource is denied", 403),
    ("DIGEST_INVALID", "provided digest did not match uploaded content", 400),
    ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", 400),
    ("MANIFEST_INVALID", "manifest invalid", 400),
    ("MANIFEST_UNKNOWN", "manifest unknown", 404),
    ("MANIFEST_UNVERIFIED", "manifest failed signature verification", 400),
    ("NAME_INVALID", "invalid repository name", 400),
    ("NAME_UNKNOWN", "repository name not known to registry", 404),
    ("PAGINATION_NUMBER_INVALID", "invalid number of results requested", 400),
    ("SIZE_INVALID", "provided length did not match content length", 400),
    ("TAG_INVALID", "manifest tag did not match URI", 400),
    ("TOOMANYREQUESTS", "too many requests", 429),
    ("UNAUTHORIZED", "authentication required", 401),
    ("UNAVAILABLE", "service unavailable", 503),
    ("UNKNOWN", "unknown error", 500),
    ("UNSUPPORTED", "The operation is unsupported.", 405),
];

/// One error of a registry's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The code in the specification's spelling, `MANIFEST_UNKNOWN`; `UNKNOWN` for all it does not have.
    pub code: &'static str,
    /// The registry's message, or the code's own.
    pub message: String,
    /// True if the registry said more than the bare code. If not, Docker shows the code alone, and does not
    /// take it for one of the errors that it has sentences for.
    pub detailed: bool,
}

impl ApiError {
    fn new(code: &str, message: Option<&str>) -> Self {
        let known = CODES.iter().find(|(known, ..)| *known == code);
        let (code, default, _) = known.copied().unwrap_or(("UNKNOWN", "unknown error", 500));
        let message = message.map_or_else(|| default.to_owned(), |text| clean(text, MAX_MESSAGE));
        Self { code, message, detailed: true }
    }

    /// Returns the HTTP status that goes with the code, whatever status the registry gave it.
    pub fn status(&self) -> u16 {
        CODES.iter().find(|(code, ..)| *code == self.code).map_or(500, |(.., status)| *status)
    }
}

impl ApiError {
    /// An error that is told by the status alone.
    fn of_status(status: StatusCode, text: &str) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        Self::new(code, Some(text))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code.to_ascii_lowercase().replace('_', " "))?;
        if self.detailed { write!(f, ": {}", self.message) } else { Ok(()) }
    }
}

/// An error answer.
#[derive(Debug)]
pub struct Refusal {
    /// The method, `GET`.
    pub method: http::Method,
    /// The URL without its secrets.
    pub url: String,
    /// The code in the first line of the answer.
    pub status: u16,
    /// The errors that it lists; empty if it lists none.
    pub errors: Vec<ApiError>,
    /// The wait that the registry asks for.
    pub retry_after: Option<Duration>,
    /// The words where there is no list.
    unlisted: String,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [] => f.write_str(&self.unlisted)?,
            [one] => one.fmt(f)?,
            several => {
                f.write_str("errors:\n")?;
                several.iter().try_for_each(|error| writeln!(f, "{error}"))?;
            }
        }
        match self.retry_after {
            Some(after) if after > MAX_RETRY_AFTER => {
                write!(f, " (Retry-After: {} s, which is not waited for)", after.as_secs())
            }
            _ => Ok(()),
        }
    }
}

impl Refusal {
    /// Reads an answer whose status is not what was wanted.
    pub(crate) fn new(
        (method, url): (http::Method, String),
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let request = request_words(&method, &url);
        let text = String::from_utf8_lossy(body);
        let mut wordless = wordless(&request, status, &text);
        let mut refusal = Self {
            method,
            url,
            status: status.as_u16(),
            errors: Vec::new(),
            retry_after: retry_after(headers),
            unlisted: wordless.clone(),
        };
        if status == StatusCode::UNAUTHORIZED {
            wordless = format!("authentication required: {wordless}");
        }
        if status.is_client_error() {
            refusal.errors.extend(token_error(headers));
            match listed(headers, &text) {
                // Where the registry has no words of its own, the answer as such has to do.
                Ok(Said::Nothing) => refusal.errors.push(ApiError::of_status(status, &wordless)),
                Ok(Said::Text(text)) => refusal.errors.push(ApiError::of_status(status, &text)),
                Ok(Said::Errors(errors)) => refusal.errors.extend(errors),
                Err(_) if status == StatusCode::UNAUTHORIZED => {
                    refusal.errors.push(ApiError::of_status(status, &wordless));
                }
                Err(reason) => {
                    let body = quoted(&clean(&text, MAX_MESSAGE));
                    let status = status.as_u16();
                    refusal.unlisted = format!(
                        "{request}: error parsing HTTP {status} response body: {reason}: {body}"
                    );
                }
            }
        }
        refusal
    }

    fn code(&self) -> Option<&'static str> {
        self.errors.first().map(|error| error.code)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        match self.code() {
            Some("UNKNOWN") | None => self.status == 404,
            Some(code) => matches!(
                code,
                "NAME_UNKNOWN" | "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "BLOB_UPLOAD_UNKNOWN"
            ),
        }
    }

    pub(crate) fn refuses_manifest(&self) -> bool {
        self.status == 415 || matches!(self.code(), Some("MANIFEST_INVALID" | "TAG_INVALID"))
    }

    pub(crate) fn is_unauthorized(&self) -> bool {
        self.code().map_or(self.status == 401, |code| code == "UNAUTHORIZED")
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.code().map_or(self.status == 403, |code| code == "DENIED")
    }
}

/// Returns a status as Go prints it, `404 Not Found`.
pub(crate) fn status_line(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
        .trim_end()
        .to_owned()
}

/// Reads the error of a challenge (RFC 6750, section 3), which goes before the body's.
fn token_error(headers: &HeaderMap) -> Option<ApiError> {
    challenges(headers).iter().filter(|challenge| challenge.scheme == "bearer").find_map(
        |challenge| {
            let code = match challenge.parameter("error")? {
                "invalid_token" => "UNAUTHORIZED",
                "insufficient_scope" => "DENIED",
                _ => return None,
            };
            let description = challenge.parameter("error_description");
            Some(ApiError::new(code, description.filter(|text| !text.is_empty())))
        },
    )
}

/// The body of an answer with a status of 4xx.
enum Said {
    /// Errors, as the specification has them.
    Errors(Vec<ApiError>),
    /// Words without a code.
    Text(String),
    /// Nothing that a registry says: no body, or a web page.
    Nothing,
}

/// Reads the body of an answer with a status of 4xx, or says why it cannot be read.
fn listed(headers: &HeaderMap, text: &str) -> Result<Said, String> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !matches!(
        essence.to_ascii_lowercase().as_str(),
        "application/json" | "application/vnd.api+json"
    ) {
        let nothing = text.trim().is_empty() || is_page(text);
        return Ok(if nothing { Said::Nothing } else { Said::Text(text.to_owned()) });
    }
    let parsed = Fields::parse(text.as_bytes());
    let answer = parsed.map_err(|error| match no_object(text) {
        Some(reason) => reason,
        None if error.is_eof() => UNEXPECTED_END.to_owned(),
        None => error.to_string(),
    })?;
    // Docker Hub's token server has this form.
    if let Some(details) = answer.text("details") {
        return Ok(Said::Text(details.to_owned()));
    }
    match answer.get("errors") {
        Some(Value::Array(errors)) if !errors.is_empty() => {
            let errors = errors.iter().take(MAX_ERRORS).map(|error| listing(error.clone()));
            Ok(Said::Errors(errors.collect()))
        }
        _ => Err("no error details found in HTTP response body".to_owned()),
    }
}

/// Tells of an answer that does not speak for itself: which request it is to, and its status.
fn wordless(request: &str, status: StatusCode, body: &str) -> String {
    let status = status_line(status);
    format!("{request}: received unexpected HTTP status: {status}{}", page(body))
}

/// Returns a remark if a text is a web page: what proxies, portals and wrong addresses answer.
pub(crate) fn page(text: &str) -> String {
    if !is_page(text) {
        return String::new();
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.split_once("<title>").and_then(|(before, rest)| {
        let start = before.len() + "<title>".len();
        let end = start + rest.find("</title>")?;
        Some(clean(text[start..end].trim(), MAX_TITLE)).filter(|title| !title.is_empty())
    });
    match title {
        Some(title) => format!(" (a web page: {})", quoted(&title)),
        None => " (a web page)".to_owned(),
    }
}

fn is_page(text: &str) -> bool {
    let start = text.trim_start().get(..5).unwrap_or_default();
    start.eq_ignore_ascii_case("<html") || start.eq_ignore_ascii_case("<!doc")
}

/// Reads one error of a list.
fn listing(error: Value) -> ApiError {
    let fields = Fields::of(error);
    let message = fields.text("message").unwrap_or_default();
    let bare = ApiError::new(fields.text("code").unwrap_or_default(), None);
    // Docker drops what repeats the code, and then shows the code alone.
    if fields.get("detail").is_none() && (message.is_empty() || message == bare.message) {
        return ApiError { detailed: false, ..bare };
    }
    ApiError::new(fields.text("code").unwrap_or_default(), Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, headers: &[(&'static str, &str)], body: &str) -> Refusal {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(
            (http::Method::GET, "https://h/v2/".to_owned()),
            status,
            &headers,
            body.as_bytes(),
        )
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn speaks_as_docker_does() {
        for (status, headers, body, expected) in [
            (
                404,
                vec![JSON],
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                "manifest unknown: manifest unknown",
            ),
            (
                404,
                vec![JSON],
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                "manifest unknown",
            ),
            (
                401,
                vec![JSON],
                r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":[]}]}"#,
                "denied: requested access to the resource is denied",
            ),
            (
                401,
                vec![JSON],
                r#"{"details":"incorrect username or password"}"#,
                "unauthorized: incorrect username or password",
            ),
            (403, vec![("content-type", "text/plain")], "go away", "denied: go away"),
            (429, vec![], "slow", "toomanyrequests: slow"),
            (404, vec![], "404 page not found", "unknown: 404 page not found"),
            (
                400,
                vec![JSON],
                r#"{"errors":[{"code":"NEW_CODE","message":"odd"},{"code":"UNSUPPORTED"}]}"#,
                "errors:\nunknown: odd\nunsupported\n",
            ),
            (
                401,
                vec![JSON, ("www-authenticate", r#"Bearer realm="r",error="insufficient_scope""#)],
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":1}]}"#,
                "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n",
            ),
            (418, vec![], "\u{1b}[2Jteapot", "unknown: [2Jteapot"),
        ] {
            assert_eq!(refusal(status, &headers, body).to_string(), expected, "{status} {body}");
        }
    }

    #[test]
    fn who_says_nothing_is_named() {
        for (status, headers, body, expected) in [
            (
                401,
                vec![JSON],
                "",
                r#"unauthorized: authentication required: Get "https://h/v2/": received unexpected HTTP status: 401 Unauthorized"#,
            ),
            (
                401,
                vec![JSON],
                "<html>",
                r#"unauthorized: authentication required: Get "https://h/v2/": received unexpected HTTP status: 401 Unauthorized (a web page)"#,
            ),
            (
                403,
                vec![],
                "",
                r#"denied: Get "https://h/v2/": received unexpected HTTP status: 403 Forbidden"#,
            ),
            (
                404,
                vec![("content-type", "text/html")],
                "<!DOCTYPE html><HTML><Title> Not\u{1b}[2J here </title>",
                r#"unknown: Get "https://h/v2/": received unexpected HTTP status: 404 Not Found (a web page: "Not[2J here")"#,
            ),
            (
                404,
                vec![JSON],
                "{}",
                r#"Get "https://h/v2/": error parsing HTTP 404 response body: no error details found in HTTP response body: "{}""#,
            ),
            (
                404,
                vec![JSON],
                "",
                r#"Get "https://h/v2/": error parsing HTTP 404 response body: unexpected end of JSON input: """#,
            ),
            (
                404,
                vec![JSON],
                "not found",
                r#"Get "https://h/v2/": error parsing HTTP 404 response body: invalid character 'n' looking for beginning of value: "not found""#,
            ),
            (
                404,
                vec![JSON],
                r#"{"errors":"#,
                r#"Get "https://h/v2/": error parsing HTTP 404 response body: unexpected end of JSON input: "{\"errors\":""#,
            ),
            (
                503,
                vec![JSON],
                r#"{"errors":[]}"#,
                r#"Get "https://h/v2/": received unexpected HTTP status: 503 Service Unavailable"#,
            ),
            (
                404,
                vec![JSON],
                r#"{"Errors":[{"Code":"MANIFEST_UNKNOWN","Message":"no such tag"}]}"#,
                "manifest unknown: no such tag",
            ),
            (418, vec![], "\u{1b}[2Jteapot", "unknown: [2Jteapot"),
        ] {
            assert_eq!(refusal(status, &headers, body).to_string(), expected, "{status} {body}");
        }
    }

    #[test]
    fn kinds_go_by_the_first_code_and_else_by_the_status() {
        let kinds = |refusal: &Refusal| {
            (refusal.is_not_found(), refusal.is_unauthorized(), refusal.is_denied())
        };
        let coded =
            |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"m","detail":1}}]}}"#);
        for (status, body, expected) in [
            (404, coded("NAME_UNKNOWN"), (true, false, false)),
            (404, coded("BLOB_UNKNOWN"), (true, false, false)),
            (404, "{}".to_owned(), (true, false, false)),
            (404, coded("DENIED"), (false, false, true)),
            (401, coded("DENIED"), (false, false, true)),
            (401, String::new(), (false, true, false)),
            (403, "{}".to_owned(), (false, false, true)),
            (400, coded("MANIFEST_INVALID"), (false, false, false)),
        ] {
            assert_eq!(kinds(&refusal(status, &[JSON], &body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_status_goes_by_the_code() {
        for (code, expected) in [
            ("UNAUTHORIZED", 401),
            ("DENIED", 403),
            ("NAME_UNKNOWN", 404),
            ("BLOB_UPLOAD_INVALID", 404),
            ("MANIFEST_INVALID", 400),
            ("UNSUPPORTED", 405),
            ("TOOMANYREQUESTS", 429),
            ("UNAVAILABLE", 503),
            ("UNKNOWN", 500),
            ("NEW_CODE", 500),
        ] {
            assert_eq!(ApiError::new(code, None).status(), expected, "{code}");
        }
    }

    #[test]
    fn what_a_registry_says_is_bounded() {
        let long = "x".repeat(MAX_MESSAGE * 2);
        assert!(refusal(400, &[], &long).to_string().len() < MAX_MESSAGE + 20);
        let many = format!(r#"{{"errors":[{}]}}"#, vec![r#"{"code":"DENIED"}"#; 1000].join(","));
        assert_eq!(refusal(403, &[JSON], &many).errors.len(), MAX_ERRORS);
    }
}
