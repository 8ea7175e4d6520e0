//! HTTP on one connection: any pair of pipes.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use api::ApiVersion;
use http::header::{HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::slots::Slot;
use crate::daemon::Daemon;
use crate::request::Parsed;
use crate::request::admission::Transport;
use crate::request::body::discard;
use crate::response::{self, Body};
use crate::routes;

/// The largest head of a request, in bytes: a long image name, filters, and credentials of up to 64 KiB.
const MAX_HEAD_SIZE: usize = 128 * 1024;
/// The time for a head to arrive, and the longest that a connection may be idle; dockerd's value.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
/// The time for a connection that makes room for another to end.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(1);

impl Daemon {
    /// Answers the requests of one connection until the client closes it, or the daemon stops.
    ///
    /// Dropping the future closes the connection and cancels what was running for it.
    pub async fn serve_connection<I>(&self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_slot(io, Slot::default(), Transport::Local).await;
    }

    /// Answers the requests of one connection until the client closes it, its slot is needed, or the daemon stops.
    pub(super) async fn serve_slot<I>(&self, io: I, slot: Slot, transport: Transport)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let slot = &slot;
        let service = service_fn(|request| async {
            let busy = slot.busy();
            let response = self.handle(request, transport).await;
            Ok::<_, Infallible>(response.map(|body| response::holding(body, busy)))
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
            () = slot.evicted() => {
                connection.as_mut().graceful_shutdown();
                // Half a head, or an answer that nobody reads: what is not over soon is cut off.
                tokio::time::timeout(EVICTION_TIMEOUT, connection).await.unwrap_or(Ok(()))
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
        let parsed = Parsed::parse(&head, transport, &self.config(), &self.machine().name);
        let (version, answer) = match parsed {
            Ok(Parsed::Request(request)) => {
                let action = request.route.action(&request.query);
                let timer = action.map(|action| self.actions().begin(action));
                let (version, answer) =
                    (request.version, routes::dispatch(self, *request, body).await);
                // What is told in a stream goes on until that ends.
                (version, answer.map(|answer| answer.map(|body| response::holding(body, timer))))
            }
            Ok(Parsed::Redirect(location)) => {
                discard(&head.headers, &mut body).await;
                (ApiVersion::CURRENT, Ok(redirect(&location)))
            }
            Err((version, error)) => {
                discard(&head.headers, &mut body).await;
                (version, Err(error))
            }
        };
        answer.unwrap_or_else(|error| error.response(version))
    }
}

/// Leads a client to the clean form of its path, as Go's routers do.
fn redirect(location: &str) -> Response<Body> {
    let mut response = response::empty(StatusCode::MOVED_PERMANENTLY);
    // A path that was escaped and a query that came in a request are always fit for a header.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
