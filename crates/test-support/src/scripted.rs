//! A registry whose every answer a test writes: statuses, headers, wrong content, cut and stalled
//! bodies, redirects, challenges. It speaks plain HTTP/1.1 or TLS on a loopback port, and keeps a
//! log of what it was sent, so that a test can say what must *not* have been sent.

mod answer;
mod tls;

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Notify,
    task::JoinHandle,
};

pub use answer::{Answer, challenge_basic, challenge_bearer};
use answer::{AnswerBody, Fate};
pub use tls::Identity;

/// The most that is read of a request's body; no test sends more.
const MAX_REQUEST_BODY: usize = 64 << 20;

/// A running scripted registry. It stops when it is dropped.
pub struct Scripted {
    state: Arc<State>,
    address: SocketAddr,
    scheme: &'static str,
    accepting: JoinHandle<()>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scripted").field(&self.url()).finish()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripted {
    /// Starts one with plain HTTP on a free port of `127.0.0.1`.
    ///
    /// Until it is told otherwise it answers `GET /v2/` with 200 and all else with 404.
    pub async fn start() -> io::Result<Self> {
        Self::listen("http", |connection, state| async move { serve(connection, state).await })
            .await
    }

    /// Starts one with TLS and `identity`, which a client must be told to trust.
    pub async fn start_tls(identity: &Identity) -> io::Result<Self> {
        let acceptor = identity.acceptor()?;
        Self::listen("https", move |connection, state| {
            let acceptor = acceptor.clone();
            async move {
                // A failed handshake is what some tests are about; the client tells of it.
                if let Ok(connection) = acceptor.accept(connection).await {
                    serve(connection, state).await;
                }
            }
        })
        .await
    }

    /// Starts one with TLS that ends connections as impolite servers do: without TLS's own end.
    pub async fn start_tls_abrupt(identity: &Identity) -> io::Result<Self> {
        let acceptor = identity.acceptor()?;
        Self::listen("https", move |connection, state| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(connection) = acceptor.accept(connection).await {
                    serve(tls::Abrupt(connection), state).await;
                }
            }
        })
        .await
    }

    async fn listen<S, F>(scheme: &'static str, serve: S) -> io::Result<Self>
    where
        S: Fn(tokio::net::TcpStream, Arc<State>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            // Owned here, so that open connections end with the registry.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection, Arc::clone(&shared)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { state, address, scheme, accepting })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its host as an image name has it: `127.0.0.1:40123`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Answers requests for `path` with `answers` in turn; the last one is repeated for ever.
    ///
    /// `path` has no query; a `*` at its end stands for anything. What was said last goes first.
    pub fn on(&self, method: &str, path: &str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        self.route(method, path, Reply::Answers(answers.into_iter().collect()))
    }

    /// Answers requests for `path` with what `reply` makes of each, its body included.
    pub fn reply(
        &self,
        method: &str,
        path: &str,
        reply: impl FnMut(&Received) -> Answer + Send + 'static,
    ) -> &Self {
        self.route(method, path, Reply::Made(Box::new(reply)))
    }

    fn route(&self, method: &str, path: &str, reply: Reply) -> &Self {
        let route = Route { method: method.to_owned(), path: path.to_owned(), reply };
        lock(&self.state.routes).push(route);
        self
    }

    /// Returns all that was received so far, in order.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.log).clone()
    }

    /// Returns what was received as lines like `GET /v2/`, queries included.
    pub fn lines(&self) -> Vec<String> {
        self.received().iter().map(ToString::to_string).collect()
    }

    /// Returns how many requests were made with `method` for `path`, whatever the query.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let log = lock(&self.state.log);
        log.iter().filter(|received| received.method == method && received.path() == path).count()
    }

    /// Forgets what was received.
    pub fn forget(&self) {
        lock(&self.state.log).clear();
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method, in upper case.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// All header fields.
    pub headers: HeaderMap,
    /// The body, as far as the script read it.
    pub body: Bytes,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

impl Received {
    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the query without the question mark, as it was sent.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Returns a header, or nothing if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Default)]
struct State {
    routes: Mutex<Vec<Route>>,
    log: Mutex<Vec<Received>>,
    /// Told of every request that is in the log.
    heard: Notify,
}

struct Route {
    method: String,
    path: String,
    reply: Reply,
}

enum Reply {
    /// Known before the body is read, so that one of them can be to hang up within it.
    Answers(VecDeque<Answer>),
    Made(Box<dyn FnMut(&Received) -> Answer + Send>),
}

impl Route {
    fn matches(&self, received: &Received) -> bool {
        let path = match self.path.strip_suffix('*') {
            Some(start) => received.path().starts_with(start),
            None => received.path() == self.path,
        };
        path && received.method == *self.method
    }
}

impl State {
    /// Returns the answer to a request whose body is still to be read, if it is known by then.
    fn planned(&self, received: &Received) -> Option<Answer> {
        let mut routes = lock(&self.routes);
        match routes.iter_mut().rev().find(|route| route.matches(received)) {
            Some(Route { reply: Reply::Made(_), .. }) => None,
            Some(Route { reply: Reply::Answers(answers), .. }) if answers.len() > 1 => {
                answers.pop_front()
            }
            Some(Route { reply: Reply::Answers(answers), .. }) => answers.front().cloned(),
            None if received.path() == "/v2/" => Some(Answer::status(200).json("{}")),
            None => {
                Some(Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry"))
            }
        }
    }

    /// Waits for a request for a path.
    async fn asked_for(&self, path: &str) {
        loop {
            let mut heard = std::pin::pin!(self.heard.notified());
            heard.as_mut().enable();
            if lock(&self.log).iter().any(|received| received.path() == path) {
                return;
            }
            heard.await;
        }
    }

    /// Makes the answer to a request that was read and has no planned one.
    fn make(&self, received: &Received) -> Answer {
        let mut routes = lock(&self.routes);
        match routes.iter_mut().rev().find(|route| route.matches(received)) {
            Some(Route { reply: Reply::Made(reply), .. }) => reply(received),
            _ => Answer::status(500).body("the script changed under the request"),
        }
    }
}

async fn serve<C: AsyncRead + AsyncWrite + Unpin>(connection: C, state: Arc<State>) {
    let service = service_fn(move |request| handle(request, Arc::clone(&state)));
    // An aborted connection is an error here and the very thing that the script asked for.
    let _: Result<(), hyper::Error> = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

async fn handle(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<AnswerBody>, HungUp> {
    let (head, mut body) = request.into_parts();
    let mut received = Received {
        method: head.method,
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers,
        body: Bytes::new(),
    };
    let planned = state.planned(&received);
    let limit = match planned.as_ref().map(|answer| answer.fate) {
        Some(Fate::HangUpInRequest(limit)) => limit,
        _ => MAX_REQUEST_BODY,
    };
    let mut content = BytesMut::new();
    while content.len() < limit {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    content.extend_from_slice(&data);
                }
            }
            Some(Err(_)) | None => break,
        }
    }
    received.body = content.freeze();
    let answer = planned.unwrap_or_else(|| state.make(&received));
    lock(&state.log).push(received);
    state.heard.notify_waiters();
    if let Some(path) = &answer.after {
        state.asked_for(path).await;
    }
    match answer.fate {
        Fate::HangUp | Fate::HangUpInRequest(_) => Err(HungUp),
        Fate::Silence => std::future::pending().await,
        Fate::Answer => Ok(answer.into_response()),
    }
}

/// The connection is to end without an answer.
#[derive(Debug)]
struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up as scripted")
    }
}

impl std::error::Error for HungUp {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
