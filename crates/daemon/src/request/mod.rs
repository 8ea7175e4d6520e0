//! Requests: a head becomes a route, a version of the API, a query and headers, or an error.

pub(crate) mod admission;
pub(crate) mod body;
pub(crate) mod handed;
pub(crate) mod parameters;
pub(crate) mod route;

use api::{ApiVersion, Query, escape_path, unescape_path};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::config::DaemonConfig;
use crate::errors::HttpError;
use admission::{Sender, Transport};
use route::Route;

/// A request whose route is known.
pub(crate) struct ApiRequest {
    pub(crate) route: Route,
    pub(crate) method: Method,
    /// The client's version of the API; the newest one when it does not say.
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
}

/// The meaning of a request's head.
pub(crate) enum Parsed {
    /// To do what a route does.
    Request(Box<ApiRequest>),
    /// To ask again at a clean path: there was an empty part in this one, or one that is `.` or `..`.
    Redirect(String),
}

/// A refusal, and the version of the client that is told of it.
pub(crate) type Refusal = (ApiVersion, HttpError);

impl Parsed {
    /// Parses a request's head, and refuses requests that the daemon does not answer. `machine` is the name of the
    /// host.
    pub(crate) fn parse(
        head: &Parts,
        transport: Transport,
        config: &DaemonConfig,
        machine: &str,
    ) -> Result<Self, Refusal> {
        let newest = ApiVersion::CURRENT;
        let refuse = |error: HttpError| (newest, error);
        if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
            return Err(refuse(HttpError::invalid("missing required Host header")));
        }
        let path = unescape_path(head.uri.path()).map_err(|error| refuse(error.into()))?;
        if let Some(clean) = route::clean(&path) {
            let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Ok(Self::Redirect(escape_path(&clean) + &query));
        }
        let found = route::find(&head.method, &path)
            .ok_or_else(|| refuse(HttpError::new(StatusCode::NOT_FOUND, "page not found")))?;
        let version = match found.version {
            None => newest,
            Some(text) => negotiate(text, config.min_api_version)?,
        };
        let (method, headers) = (&head.method, &head.headers);
        let sender = Sender { method, own_route: found.own, headers, transport };
        sender.admit(config, machine).map_err(|error| (version, error))?;
        let query = Query::parse(head.uri.query().unwrap_or_default())
            .map_err(|error| (version, error.into()))?;
        let (method, headers) = (method.clone(), headers.clone());
        let request = ApiRequest { route: found.route, method, version, query, headers };
        Ok(Self::Request(Box::new(request)))
    }
}

/// Parses the version that a client speaks, which must be one that the daemon speaks, too.
fn negotiate(text: &str, oldest: ApiVersion) -> Result<ApiVersion, Refusal> {
    let version: ApiVersion =
        text.parse().map_err(|error: api::ApiError| (ApiVersion::CURRENT, error.into()))?;
    let newest = ApiVersion::CURRENT;
    let message = if version < oldest {
        format!(
            "client version {text} is too old. Minimum supported API version is {oldest}, please upgrade your \
             client to a newer version"
        )
    } else if version > newest {
        format!("client version {text} is too new. Maximum supported API version is {newest}")
    } else {
        return Ok(version);
    };
    Err((version, HttpError::invalid(message)))
}
