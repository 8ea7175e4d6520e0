//! The server: connections, shutdown, and which request goes where.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::error::{Code, Failure, ServerError};
use crate::query::Query;
use crate::receive::Arriving;
use crate::reply::{self, Body};
use crate::route::{self, Target};
use crate::sessions::Sessions;
use crate::storage::{Durability, Storage};

/// Requests that move large pieces at once: each may hold two chunks of a download or two batches
/// of an upload, about 1 MiB. Nobody waits for a place among them, since a slow client may keep its
/// own for as long as it likes: the others move small pieces.
const MAX_LARGE: usize = 512;
const LARGE_PIECE: usize = 512 << 10;
const SMALL_PIECE: usize = 16 << 10;

/// Memory for documents that are being received, in KiB.
const MAX_DOCUMENTS: usize = 256 << 10;

/// Connections at once; more wait in the kernel's queue. One without a request holds some
/// kilobytes, so that a crowd of idle clients keeps nobody out.
const MAX_CONNECTIONS: usize = 16_384;

/// A client that does not send a request's head in this time, or nothing on an idle connection,
/// makes room for another.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);

/// The time that a shutdown gives the requests in progress.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Address and files of a registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The folder; created if it is not there.
    pub root: PathBuf,
    /// The moment from which a file counts as written.
    pub durability: Durability,
    /// The longest silence of a body before its client is taken for gone.
    pub stall: Duration,
    /// Number of requests that may move large pieces at once.
    pub large: usize,
    /// Memory for documents that are being received, in KiB.
    pub documents: usize,
}

/// A client that sends nothing for so long is gone.
const STALL: Duration = Duration::from_mins(1);

impl Options {
    /// Options for the registry in the folder `root`, with everything synced.
    pub fn new(root: impl Into<PathBuf>) -> Options {
        let (durability, stall, large) = (Durability::default(), STALL, MAX_LARGE);
        Options { root: root.into(), durability, stall, large, documents: MAX_DOCUMENTS }
    }

    /// Sets when a file counts as written.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// Sets how long a body may send nothing.
    #[must_use]
    pub fn stall(mut self, stall: Duration) -> Options {
        self.stall = stall;
        self
    }

    /// Sets how many requests may move large pieces at once.
    #[must_use]
    pub fn large(mut self, large: usize) -> Options {
        self.large = large;
        self
    }

    /// Sets what documents that are being received may take of the memory, in KiB.
    #[must_use]
    pub fn documents(mut self, documents: usize) -> Options {
        self.documents = documents;
        self
    }
}

/// A registry: a folder that this process has opened, and what it keeps in memory about it.
#[derive(Debug)]
pub struct RegistryServer {
    pub(crate) storage: Arc<Storage>,
    pub(crate) sessions: Sessions,
    /// A place for each request that moves large pieces.
    large: Arc<Semaphore>,
    /// A permit for each KiB of documents that are being received.
    pub(crate) documents: Semaphore,
    stall: Duration,
}

impl RegistryServer {
    /// Opens the folder, and sweeps what an earlier server left unfinished there. Blocks.
    ///
    /// [`ServerError::InUse`] where another server has it open.
    pub fn open(options: Options) -> Result<RegistryServer, ServerError> {
        let storage = Arc::new(Storage::open(options.root, options.durability)?);
        let large = Arc::new(Semaphore::new(options.large));
        let (documents, stall) = (Semaphore::new(options.documents), options.stall);
        Ok(RegistryServer { storage, sessions: Sessions::default(), large, documents, stall })
    }

    /// Serves every connection of `listener` until `shutdown` resolves; then takes no more, lets
    /// the requests in progress end, for ten seconds at most, and returns.
    ///
    /// Dropping it before its end cuts all connections at once. Nothing is lost by that: uploads can
    /// be resumed.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (stop, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
                listener.accept().await.map(|(stream, _)| (stream, place))
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = accepted => match accepted {
                    Ok((stream, place)) => {
                        let (server, stopped) = (Arc::clone(&self), stopped.clone());
                        connections.spawn(async move {
                            server.serve_connection(stream, stopped).await;
                            drop(place);
                        });
                    }
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(listener);
        drop(stop);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut off at shutdown");
        }
        Ok(())
    }

    async fn serve_connection(
        self: Arc<Self>,
        stream: TcpStream,
        mut stopped: watch::Receiver<()>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let service = service_fn(|request| self.answer(request));
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            // The sender is dropped at shutdown; nothing is ever sent.
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let began = Instant::now();
        let (method, target) = (request.method().clone(), request.uri().clone());
        let place = Arc::clone(&self.large).try_acquire_owned().ok();
        let piece = if place.is_some() { LARGE_PIECE } else { SMALL_PIECE };
        let response = match self.dispatch(request, piece).await {
            Ok(response) => response,
            Err(failure) => {
                if let Some(cause) = &failure.cause {
                    let cause: &dyn std::error::Error = &**cause;
                    tracing::error!(%method, %target, cause, "request failed");
                }
                reply::failure(&failure)
            }
        };
        let status = response.status().as_u16();
        tracing::debug!(%method, %target, status, took = ?began.elapsed(), "answered");
        Ok(response.map(|body| reply::holding(body, place)))
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        piece: usize,
    ) -> Result<Response<Body>, Failure> {
        let (head, body) = request.into_parts();
        let body = Arriving { body, piece, stall: self.stall };
        let (method, headers) = (&head.method, &head.headers);
        let query = Query::parse(head.uri.query());
        let target = route::target(head.uri.path())?;
        let read = matches!(*method, Method::GET | Method::HEAD);
        match (target, method.as_str()) {
            (Target::Base, _) if read => Ok(reply::json(StatusCode::OK, &serde_json::json!({}))),
            (Target::Page, _) if read => self.show_page(&query, headers).await,
            (Target::Catalog, _) if read => self.list_repositories(&query).await,
            (Target::Tags(name), _) if read => self.list_tags(name, &query).await,
            (Target::Referrers(name, digest), _) if read => {
                self.list_referrers(name, digest, &query).await
            }
            (Target::Manifest(name, named), _) if read => {
                self.get_manifest(name, named, headers).await
            }
            (Target::Manifest(name, named), "PUT") => {
                self.put_manifest(name, named, headers, body).await
            }
            (Target::Manifest(name, named), "DELETE") => self.delete_manifest(name, named).await,
            (Target::Blob(name, digest), _) if read => {
                self.get_blob(name, digest, method, headers, piece).await
            }
            (Target::Blob(name, digest), "DELETE") => self.delete_blob(name, digest).await,
            (Target::Uploads(name), "POST") => self.post_upload(name, &query, body).await,
            (Target::Upload(name, id), "GET") => self.get_upload(name, id).await,
            (Target::Upload(name, id), "PATCH") => self.patch_upload(name, id, headers, body).await,
            (Target::Upload(name, id), "PUT") => {
                self.put_upload(name, id, &query, headers, body).await
            }
            (Target::Upload(name, id), "DELETE") => self.delete_upload(name, id).await,
            (target, _) => Err(unsupported(&target)),
        }
    }
}

fn unsupported(target: &Target) -> Failure {
    let allowed = match target {
        Target::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Target::Blob(..) => "GET, HEAD, DELETE",
        Target::Uploads(..) => "POST",
        Target::Upload(..) => "GET, PATCH, PUT, DELETE",
        Target::Page | Target::Base | Target::Catalog | Target::Tags(_) | Target::Referrers(..) => {
            "GET, HEAD"
        }
    };
    Failure::new(Code::Unsupported, "the operation is unsupported")
        .header(ALLOW, HeaderValue::from_static(allowed))
}

/// A connection that was gone before it was accepted says nothing about the next; running out of
/// files does, and passes as connections end.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
