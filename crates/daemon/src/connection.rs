//! One connection: HTTP on any pair of pipes.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use api::{ApiVersion, Query, unescape_path};
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Daemon;
use crate::errors::Failure;
use crate::reply::Body;
use crate::router::{self, Route};
use crate::routes;

/// The largest head of a request, in bytes: a long image name, filters, and credentials of up to 64 KiB.
const MAX_HEAD_SIZE: usize = 128 * 1024;
/// How long a client may take to send a head, and how long a connection may be idle; dockerd's value.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);

/// A request whose route is known.
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) method: Method,
    /// What the client speaks; the newest version when it does not say.
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

impl Daemon {
    /// Answers the requests of one connection until the client closes it, or the daemon stops.
    ///
    /// Dropping the future closes the connection and cancels what was running for it.
    pub async fn serve_connection<I>(&self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.handle(request).await) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_header_size(MAX_HEAD_SIZE)
            .max_buf_size(2 * MAX_HEAD_SIZE)
            // As Go writes them.
            .title_case_headers(true)
            .serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.closed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            // A client that goes away in the middle is everyday life.
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = self.answer(request).await;
        response.headers_mut().extend(self.headers().clone());
        // Not the query: an import's may hold a password in a URL.
        let status = response.status().as_u16();
        tracing::debug!(%method, path, status, elapsed = ?started.elapsed(), "request");
        response
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match parse(request) {
            Ok(call) => {
                let version = call.version;
                routes::dispatch(self, call)
                    .await
                    .unwrap_or_else(|failure| failure.response(version))
            }
            Err((version, failure)) => failure.response(version),
        }
    }
}

/// Understands a request's head, or says what is wrong with it and to a client of which version.
fn parse(request: Request<Incoming>) -> Result<Call, (ApiVersion, Failure)> {
    let newest = ApiVersion::CURRENT;
    let refuse = |failure: Failure| (newest, failure);
    let (head, body) = request.into_parts();
    if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
        return Err(refuse(Failure::invalid("missing required Host header")));
    }
    let path = unescape_path(head.uri.path()).map_err(|error| refuse(error.into()))?;
    let target = router::find(&head.method, &path)
        .ok_or_else(|| refuse(Failure::new(StatusCode::NOT_FOUND, "page not found")))?;
    let version = match target.version {
        None => newest,
        Some(text) => speaks(text)?,
    };
    let query = Query::parse(head.uri.query().unwrap_or_default())
        .map_err(|error| (version, error.into()))?;
    let route = target.route;
    Ok(Call { route, method: head.method, version, query, headers: head.headers, body })
}

/// The version that a client speaks, if the daemon does too.
fn speaks(text: &str) -> Result<ApiVersion, (ApiVersion, Failure)> {
    let version: ApiVersion =
        text.parse().map_err(|error: api::ApiError| (ApiVersion::CURRENT, error.into()))?;
    let (oldest, newest) = (ApiVersion::MINIMUM, ApiVersion::CURRENT);
    let failure = if version < oldest {
        format!(
            "client version {text} is too old. Minimum supported API version is {oldest}, please upgrade your \
             client to a newer version"
        )
    } else if version > newest {
        format!("client version {text} is too new. Maximum supported API version is {newest}")
    } else {
        return Ok(version);
    };
    Err((version, Failure::invalid(failure)))
}
