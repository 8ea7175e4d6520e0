//! Requests on their way, answers as they come: timeouts, stalls, bounds.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};
use tokio::time::Instant;

use crate::{
    RegistryError,
    error::fault::{RequestFault, request_words},
    error::refusal::{MAX_ERROR_BODY, Refusal},
    http::classify::{body_words, is_unclean_end},
    http::metrics::Counters,
    lock::lock,
};

/// The most that is read of a body that nobody wants, to keep its connection. More, and a new connection is cheaper.
const MAX_DISCARDED: usize = 16 << 10;

/// The least that has to come within the stall timeout: a byte now and then would keep a transfer for years.
pub(crate) const LEAST: usize = 1 << 10;

/// Times that every request goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For the first answer of a host, and a token server's, the connection included.
    pub(crate) first: Duration,
    pub(crate) response: Duration,
    /// For answers that come after a registry has stored a blob: it may copy and hash gigabytes before.
    pub(crate) commit: Duration,
    pub(crate) stall: Duration,
}

/// The body of a request.
pub(crate) enum Payload {
    Empty,
    Bytes(Bytes),
    /// Can be sent once only; nothing is left afterwards.
    Upload(Option<UploadBody>),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Bytes(_) => "Bytes",
            Self::Upload(_) => "Upload",
        })
    }
}

impl Payload {
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Upload(_))
    }

    /// Moves the body into a request, and its length with it.
    pub(crate) fn attach(&mut self, request: &mut reqwest::Request) -> Option<Arc<Watch>> {
        match self {
            Self::Empty => {
                // Some servers answer 411 to these without a length.
                if !matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE) {
                    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
                }
                None
            }
            Self::Bytes(bytes) => {
                *request.body_mut() = Some(bytes.clone().into());
                None
            }
            Self::Upload(body) => {
                let body = body.take()?;
                if let Some(length) = body.length {
                    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                }
                let watch = Arc::clone(&body.watch);
                *request.body_mut() = Some(reqwest::Body::wrap_stream(body));
                Some(watch)
            }
        }
    }
}

type Source = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Bodies are handed on in pieces of this size, so that a slow peer that takes them can be told from one that does not.
const PIECE: usize = 64 << 10;

/// A body that is produced while it is sent.
pub(crate) struct UploadBody {
    source: Source,
    /// The bytes of the source that were not handed on yet.
    rest: Bytes,
    length: Option<u64>,
    watch: Arc<Watch>,
}

/// The progress of a body, seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    sent: u64,
    phase: Phase,
    since: Option<Instant>,
    failed: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The network is to take what it was given.
    #[default]
    Sending,
    /// The source is to produce more; the network is not to blame for that.
    Producing,
    /// All was sent, the answer is due.
    Sent,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        lock(&self.0)
    }

    fn enter(&self, phase: Phase) {
        let mut progress = self.lock();
        progress.phase = phase;
        progress.since = Some(Instant::now());
    }

    /// Returns how many bytes were handed to the network.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Takes the source's error, if that is what ended the body.
    pub(crate) fn source_error(&self) -> Option<io::Error> {
        self.lock().failed.take()
    }
}

impl UploadBody {
    pub(crate) fn new(
        source: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self { source: Box::pin(source), rest: Bytes::new(), length, watch: Arc::default() }
    }

    pub(crate) fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    fn fail(&self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        let told = io::Error::new(error.kind(), "the source failed");
        self.watch.lock().failed = Some(error);
        Poll::Ready(Some(Err(told)))
    }
}

impl Stream for UploadBody {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let wrong = |sent: u64, length: u64| {
            let text = format!("it has {sent} bytes, {length} were announced");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        while this.rest.is_empty() {
            match this.source.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(bytes))) => this.rest = bytes,
                Poll::Ready(Some(Err(error))) => return this.fail(error),
                Poll::Ready(None) => {
                    let sent = this.watch.sent();
                    if let Some(length) = this.length.filter(|&length| length != sent) {
                        return this.fail(wrong(sent, length));
                    }
                    this.watch.enter(Phase::Sent);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    this.watch.enter(Phase::Producing);
                    return Poll::Pending;
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        let sent = this.watch.sent() + piece.len() as u64;
        if let Some(length) = this.length.filter(|&length| sent > length) {
            return this.fail(wrong(sent, length));
        }
        // With a length the transport stops asking once it has all, so that this is the end too.
        this.watch.enter(if this.length == Some(sent) { Phase::Sent } else { Phase::Sending });
        this.watch.lock().sent = sent;
        Poll::Ready(Some(Ok(piece)))
    }
}

/// An upload whose answer is waited for.
pub(crate) struct Upload<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) patience: Duration,
    pub(crate) stall: Duration,
}

impl Upload<'_> {
    /// Waits for `sending`, but for no longer than `stall` while the peer takes nothing, and than `patience` after it
    /// took all.
    pub(crate) async fn wait<F: Future>(&self, sending: F) -> Result<F::Output, RequestFault> {
        let mut sending = std::pin::pin!(sending);
        let begun = Instant::now();
        loop {
            let (phase, since) = {
                let progress = self.watch.lock();
                (progress.phase, progress.since)
            };
            let deadline = match phase {
                // Nothing asked for yet: connecting.
                Phase::Sending if since.is_none() => begun + self.patience,
                Phase::Sending => since.unwrap_or(begun) + self.stall,
                Phase::Producing => Instant::now() + self.stall,
                Phase::Sent => since.unwrap_or(begun) + self.patience,
            };
            let now = Instant::now();
            if deadline <= now {
                return Err(match phase {
                    Phase::Sending if since.is_some() => {
                        RequestFault::SendTimeout { after: self.stall }
                    }
                    _ => RequestFault::ResponseTimeout,
                });
            }
            // The phase may change meanwhile, and the deadline with it.
            let wake = deadline.min(now + self.stall);
            if let Ok(output) = tokio::time::timeout_at(wake, &mut sending).await {
                return Ok(output);
            }
        }
    }
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Answer {
    method: Method,
    /// The URL it came from, for messages.
    pub(crate) url: String,
    response: Response,
    stall: Duration,
    /// The part of it that is left until enough has come.
    patience: Duration,
    /// Bytes that came in it.
    fresh: usize,
    metrics: Arc<Counters>,
    /// True if the connection ended where only its end can tell the body's, but not as TLS wants it.
    unclean: bool,
}

impl Answer {
    pub(crate) fn new(
        (method, url): (Method, String),
        response: Response,
        stall: Duration,
        metrics: Arc<Counters>,
    ) -> Self {
        let (patience, fresh, unclean) = (stall, 0, false);
        Self { method, url, response, stall, patience, fresh, metrics, unclean }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the URL it came from, secrets included.
    pub(crate) fn location(&self) -> &Url {
        self.response.url()
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Returns `Content-Length`, also that of an answer without a body.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// Returns the request as errors name it.
    pub(crate) fn request(&self) -> String {
        request_words(&self.method, &self.url)
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        crate::error::retry_after::retry_after(self.headers())
    }

    pub(crate) fn stall(&self) -> Duration {
        self.stall
    }

    /// Returns the counters; [`Answer::into_response`] leaves the counting to its caller.
    pub(crate) fn metrics(&self) -> Arc<Counters> {
        Arc::clone(&self.metrics)
    }

    /// Returns the next bytes of the body; nothing at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let asked = Instant::now();
        match tokio::time::timeout(self.patience, self.response.chunk()).await {
            Ok(Ok(chunk)) => {
                let length = chunk.as_ref().map_or(0, Bytes::len);
                self.metrics.received(length);
                self.fresh += length;
                self.patience = self.patience.saturating_sub(asked.elapsed());
                if self.fresh >= LEAST {
                    (self.fresh, self.patience) = (0, self.stall);
                }
                Ok(chunk)
            }
            Ok(Err(error)) => {
                let headers = self.response.headers();
                self.unclean = is_unclean_end(&error)
                    && !headers.contains_key(header::CONTENT_LENGTH)
                    && !headers.contains_key(header::TRANSFER_ENCODING);
                let reason = body_words(&error);
                Err(RegistryError::Interrupted { url: self.url.clone(), reason })
            }
            Err(_) => Err(RegistryError::Stalled { url: self.url.clone(), after: self.stall }),
        }
    }

    /// Reads the body, and fails if it has more than `limit` bytes.
    ///
    /// What TLS ended without `close_notify` is whole where the reader finds it whole: a digest, or JSON to its end.
    pub(crate) async fn collect(
        mut self,
        what: &'static str,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let announced = self.length().unwrap_or_default();
        // What is announced is only a hint for the first allocation.
        let mut body = BytesMut::with_capacity(announced.min(64 << 10) as usize);
        let mut fits = announced <= limit;
        while fits {
            match self.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(_) if self.unclean => return Ok(body.freeze()),
                Err(error) => return Err(error),
            }
            fits = body.len() as u64 <= limit;
        }
        Err(RegistryError::TooLarge { what, url: self.url, limit })
    }

    /// Reads as much of the body as there is up to `limit` bytes; what breaks breaks.
    pub(crate) async fn prefix(&mut self, limit: usize) -> Bytes {
        let mut body = BytesMut::new();
        while body.len() < limit {
            match self.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(limit);
        body.freeze()
    }

    /// Makes an error of an answer with an unwanted status.
    pub(crate) async fn refuse(mut self) -> RegistryError {
        let body = self.prefix(MAX_ERROR_BODY).await;
        let asked = (self.method.clone(), self.url.clone());
        let refusal = Refusal::new(asked, self.status(), self.headers(), &body);
        RegistryError::Refused(Box::new(refusal))
    }

    /// Returns the answer if its status is among `wanted`, and an error made of it otherwise.
    pub(crate) async fn expect(self, wanted: &[StatusCode]) -> Result<Self, RegistryError> {
        if wanted.contains(&self.status()) { Ok(self) } else { Err(self.refuse().await) }
    }

    /// Drops the body; if it is short, its connection is kept.
    pub(crate) async fn discard(mut self) {
        if self.length().is_some_and(|length| length <= MAX_DISCARDED as u64) {
            self.prefix(MAX_DISCARDED).await;
        }
    }

    pub(crate) fn into_response(self) -> Response {
        self.response
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    const PATIENCE: Duration = Duration::from_mins(1);

    fn pieces(body: UploadBody) -> impl Future<Output = Vec<usize>> {
        body.map(|piece| piece.map_or(0, |piece| piece.len())).collect()
    }

    async fn waited<F: Future>(watch: &Watch, sending: F) -> (Result<F::Output, String>, Duration) {
        let begun = Instant::now();
        let upload = Upload { watch, patience: PATIENCE, stall: STALL };
        let outcome = upload.wait(sending).await.map_err(|fault| fault.to_string());
        (outcome, begun.elapsed())
    }

    /// Reads an answer of which a piece comes every so often.
    async fn collected(every: Duration, piece: usize) -> Result<usize, String> {
        let pieces = stream::iter(0..100).then(move |_| async move {
            tokio::time::sleep(every).await;
            Ok::<_, std::io::Error>(vec![0; piece])
        });
        let response = http::Response::new(reqwest::Body::wrap_stream(pieces));
        let asked = (Method::GET, "/x".to_owned());
        let answer = Answer::new(asked, response.into(), STALL, Arc::default());
        let collected = answer.collect("answer", 1 << 20).await;
        collected.map(|bytes| bytes.len()).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_byte_by_byte_is_none() {
        let stalled = || Err("read `/x`: too little data for 30000 ms".to_owned());
        assert_eq!(collected(Duration::from_secs(2), 1).await, stalled());
        assert_eq!(collected(Duration::from_secs(31), LEAST).await, stalled());
        assert_eq!(collected(Duration::from_secs(29), LEAST).await, Ok(100 * LEAST));
        assert_eq!(collected(Duration::from_millis(200), 1).await, Ok(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_waited_for() {
        let late = stream::once(async {
            tokio::time::sleep(STALL * 10).await;
            Ok(Bytes::from_static(b"abc"))
        });
        let body = UploadBody::new(late, None);
        let watch = body.watch();
        let (outcome, took) = waited(&watch, pieces(body)).await;
        assert_eq!(outcome, Ok(vec![3]));
        assert_eq!(took, STALL * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_not() {
        let mut body =
            UploadBody::new(stream::repeat_with(|| Ok(Bytes::from_static(b"abc"))), None);
        let watch = body.watch();
        let stuck = async {
            body.next().await;
            std::future::pending::<()>().await;
        };
        let (outcome, took) = waited(&watch, stuck).await;
        assert_eq!(outcome, Err("write: i/o timeout: nothing sent for 30000 ms".to_owned()));
        assert!(took >= STALL && took < PATIENCE, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_due_once_all_is_sent() {
        for length in [None, Some(3)] {
            let body = UploadBody::new(stream::iter([Ok(Bytes::from_static(b"abc"))]), length);
            let watch = body.watch();
            let silent = async {
                // With a length nobody asks for more than the one piece.
                body.take(if length.is_some() { 1 } else { 2 }).collect::<Vec<_>>().await;
                std::future::pending::<()>().await;
            };
            let (outcome, took) = waited(&watch, silent).await;
            let expected = "net/http: timeout awaiting response headers".to_owned();
            assert_eq!((outcome, took), (Err(expected), PATIENCE), "{length:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_has_its_time_too() {
        let (outcome, took) = waited(&Watch::default(), std::future::pending::<()>()).await;
        assert!(outcome.is_err());
        assert_eq!(took, PATIENCE);
    }

    #[tokio::test]
    async fn large_pieces_are_cut() {
        let large = stream::iter([Ok(Bytes::from(vec![0; PIECE * 2 + 1])), Ok(Bytes::new())]);
        assert_eq!(pieces(UploadBody::new(large, None)).await, [PIECE, PIECE, 1]);
    }
}
