//! One connection: HTTP on any pair of pipes.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use api::{ApiVersion, Query, escape_path, unescape_path};
use http::header::{EXPECT, HOST, HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Daemon;
use crate::errors::Failure;
use crate::guard::Visit;
use crate::idle::Seat;
use crate::listen::Transport;
use crate::reply::{self, Body};
use crate::router::{self, Route};
use crate::routes;

/// The largest head of a request, in bytes: a long image name, filters, and credentials of up to 64 KiB.
const MAX_HEAD_SIZE: usize = 128 * 1024;
/// How long a client may take to send a head, and how long a connection may be idle; dockerd's value.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a connection that makes room for another may take to end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The most that is read of a body that nobody wants; what Go reads.
const MAX_DISCARDED: usize = 256 * 1024;
/// How long a body that nobody wants is waited for.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// A request whose route is known.
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) method: Method,
    /// What the client speaks; the newest version when it does not say.
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
}

impl Daemon {
    /// Answers the requests of one connection until the client closes it, or the daemon stops.
    ///
    /// Dropping the future closes the connection and cancels what was running for it.
    pub async fn serve_connection<I>(&self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_seated(io, Seat::default(), Transport::Local).await;
    }

    /// Answers the requests of one connection until the client closes it, its seat is needed, or the daemon stops.
    pub(crate) async fn serve_seated<I>(&self, io: I, seat: Seat, transport: Transport)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let seat = &seat;
        let service = service_fn(|request| async {
            let work = seat.work();
            let response = self.handle(request, transport).await;
            Ok::<_, Infallible>(response.map(|body| reply::holding(body, work)))
        });
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
            () = seat.asked_to_leave() => {
                connection.as_mut().graceful_shutdown();
                // Half a head, or an answer that nobody reads: what is not over soon is cut off.
                tokio::time::timeout(LEAVE_TIMEOUT, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = result {
            // A client that goes away in the middle is everyday life.
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn handle(&self, request: Request<Incoming>, transport: Transport) -> Response<Body> {
        let started = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = self.answer(request, transport).await;
        response.headers_mut().extend(self.headers().clone());
        // Not the query: an import's may hold a password in a URL.
        let status = response.status().as_u16();
        tracing::debug!(%method, path, status, elapsed = ?started.elapsed(), "request");
        response
    }

    async fn answer(&self, request: Request<Incoming>, transport: Transport) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let (version, answer) = match self.parse(&head, transport) {
            Ok(Understood::Route(call)) => {
                let timer =
                    call.route.action(&call.query).map(|action| self.actions().begin(action));
                let (version, answer) = (call.version, routes::dispatch(self, *call, body).await);
                // What is told in a stream goes on until that ends.
                (version, answer.map(|answer| answer.map(|body| reply::holding(body, timer))))
            }
            Ok(Understood::Elsewhere(location)) => {
                discard(&head.headers, &mut body).await;
                (ApiVersion::CURRENT, Ok(moved(&location)))
            }
            Err((version, failure)) => {
                discard(&head.headers, &mut body).await;
                (version, Err(failure))
            }
        };
        answer.unwrap_or_else(|failure| failure.response(version))
    }

    /// Understands a request's head, or says what is wrong with it and to a client of which version.
    fn parse(
        &self,
        head: &Parts,
        transport: Transport,
    ) -> Result<Understood, (ApiVersion, Failure)> {
        let newest = ApiVersion::CURRENT;
        let refuse = |failure: Failure| (newest, failure);
        if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
            return Err(refuse(Failure::invalid("missing required Host header")));
        }
        let path = unescape_path(head.uri.path()).map_err(|error| refuse(error.into()))?;
        if let Some(clean) = router::clean(&path) {
            let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Ok(Understood::Elsewhere(escape_path(&clean) + &query));
        }
        let target = router::find(&head.method, &path)
            .ok_or_else(|| refuse(Failure::new(StatusCode::NOT_FOUND, "page not found")))?;
        let config = self.config();
        let version = match target.version {
            None => newest,
            Some(text) => speaks(text, config.min_api_version)?,
        };
        let (method, headers) = (&head.method, &head.headers);
        let visit = Visit { method, own_route: target.own, headers, transport };
        visit.admit(&config, &self.host().name).map_err(|failure| (version, failure))?;
        let query = Query::parse(head.uri.query().unwrap_or_default())
            .map_err(|error| (version, error.into()))?;
        let (method, headers) = (method.clone(), headers.clone());
        let call = Call { route: target.route, method, version, query, headers };
        Ok(Understood::Route(Box::new(call)))
    }
}

/// The meaning of a request's head.
enum Understood {
    /// To do what a route does.
    Route(Box<Call>),
    /// To ask again at a clean path: there was an empty part in this one, or one that is `.` or `..`.
    Elsewhere(String),
}

/// Leads a client to the clean form of its path, as Go's routers do.
fn moved(location: &str) -> Response<Body> {
    let mut response = reply::empty(StatusCode::MOVED_PERMANENTLY);
    // A path that was escaped and a query that came in a request are always fit for a header.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Reads a body that nobody wants, as far as that is cheap: a client that is still writing when the answer ends the
/// connection would see a broken pipe and not the answer.
pub(crate) async fn discard(headers: &HeaderMap, body: &mut Incoming) {
    // Who waits to be told to go on is told to stop by the answer.
    if headers.contains_key(EXPECT) {
        return;
    }
    let body = Limited::new(body, MAX_DISCARDED).collect();
    // What is wrong with a body that nobody wants is nobody's concern.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, body).await;
}

/// The version that a client speaks, if the daemon does too.
fn speaks(text: &str, oldest: ApiVersion) -> Result<ApiVersion, (ApiVersion, Failure)> {
    let version: ApiVersion =
        text.parse().map_err(|error: api::ApiError| (ApiVersion::CURRENT, error.into()))?;
    let newest = ApiVersion::CURRENT;
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
