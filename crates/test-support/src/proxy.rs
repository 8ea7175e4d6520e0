//! A proxy in front of a registry that counts what goes through it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest wait for what is to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The requests and bytes of all connections so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Requests, by what they ask for.
    pub requests: BTreeMap<&'static str, u64>,
    /// Bytes of requests, with their heads.
    pub sent: u64,
    /// Bytes of responses, with their heads.
    pub received: u64,
    /// Uploads that came to their end and were answered.
    pub uploads: u64,
    /// Their bytes.
    pub uploaded: u64,
    /// Bytes of those that had come to their end before, be it in another repository, from where they can be mounted.
    pub again: u64,
    /// The digests of all that did.
    pub blobs: BTreeSet<String>,
    /// Bytes of parts that were cut off.
    pub cut_off: u64,
    /// Bytes of the whole parts of uploads that are not at their end, by their paths.
    pub parts: BTreeMap<String, u64>,
}

impl Counts {
    /// Returns the number of requests.
    pub fn all(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Bytes of uploads that did not come to their end.
    pub fn unfinished(&self) -> u64 {
        self.cut_off + self.parts.values().sum::<u64>()
    }

    /// Counts the body of a request, if it is one of an upload.
    fn body(&mut self, request: &Request, length: u64, whole: bool) {
        match request.kind {
            _ if !whole => self.cut_off += length,
            "upload, in part" => *self.parts.entry(request.path.clone()).or_default() += length,
            "upload" => {
                let bytes = length + self.parts.remove(&request.path).unwrap_or_default();
                self.uploads += 1;
                self.uploaded += bytes;
                if !self.blobs.insert(request.digest.clone()) {
                    self.again += bytes;
                }
            }
            _ => {}
        }
    }
}

/// The counts, and the word that they have grown.
#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    grown: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.lock());
        self.grown.notify_all();
    }
}

/// A running proxy. It stops when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    counts: Arc<Shared>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port for what goes to the registry at `target`.
    pub fn start(target: &str) -> io::Result<Proxy> {
        Proxy::start_cutting(target, u64::MAX)
    }

    /// Starts one that cuts each connection after so many bytes of the client's.
    pub fn start_cutting(target: &str, most: u64) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (counts, ended) = (Arc::<Shared>::default(), Arc::<AtomicBool>::default());
        let (shared, stopped, target) =
            (Arc::clone(&counts), Arc::clone(&ended), target.to_owned());
        thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Whose connection fails sees it close.
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else {
                    continue;
                };
                let counts = Arc::clone(&shared);
                thread::spawn(move || connect(&client, &server, most, &counts));
            }
        });
        Ok(Proxy { address, counts, ended })
    }

    /// Returns its `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the counts, and begins anew.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock())
    }

    /// Waits until the counts are as wanted, but for half a minute at the most. Returns whether they are.
    pub fn wait(&self, wanted: impl Fn(&Counts) -> bool) -> bool {
        let (counts, grown) = (self.counts.lock(), &self.counts.grown);
        let in_time = grown.wait_timeout_while(counts, PATIENCE, |counts| !wanted(counts));
        !in_time.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(client: &TcpStream, server: &TcpStream, most: u64, counts: &Arc<Shared>) {
    // What goes on in small pieces waits for no answer.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let (Ok(mut to_client), Ok(mut from_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let (shared, exchange) = (Arc::clone(counts), Arc::<Exchange>::default());
    let answered = Arc::clone(&exchange);
    let back = thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_server.read(&mut buffer) {
            shared.count(|counts| {
                counts.received += length as u64;
                if let Some((request, length)) = answered.hear() {
                    counts.body(&request, length, true);
                }
            });
            if to_client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    // A client that goes away, or was killed, ends it.
    let mut to_server = server;
    let mut from_client = BufReader::new(client.take(most));
    let _ = forward(&mut from_client, &mut to_server, counts, &exchange);
    if from_client.get_ref().limit() == 0 {
        let _ = client.shutdown(Shutdown::Both);
    }
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    exchange.end(counts);
}

/// The requests and answers of one connection.
#[derive(Debug, Default)]
struct Exchange(Mutex<Unanswered>);

#[derive(Debug, Default)]
struct Unanswered {
    /// True if the server said something since the request began.
    is_answered: bool,
    /// A request that went whole and has no answer, and the length of its body.
    request: Option<(Request, u64)>,
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, Unanswered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins, so that the one before it, which is returned if it was not answered yet, had its answer.
    fn begin(&self) -> Option<(Request, u64)> {
        std::mem::take(&mut *self.lock()).request
    }

    /// The server says something. Returns the request that this answers, if it went whole before.
    fn hear(&self) -> Option<(Request, u64)> {
        let mut unanswered = self.lock();
        unanswered.is_answered = true;
        unanswered.request.take()
    }

    /// A request went whole. Returns it if it has its answer.
    fn sent(&self, request: Request, length: u64) -> Option<(Request, u64)> {
        let mut unanswered = self.lock();
        if unanswered.is_answered {
            return Some((request, length));
        }
        unanswered.request = Some((request, length));
        None
    }

    /// Counts a request that got no answer as one that was cut off: a registry may drop it, and its client does not know.
    fn end(&self, counts: &Shared) {
        if let Some((request, length)) = self.lock().request.take() {
            counts.count(|counts| counts.body(&request, length, false));
        }
    }
}

/// Forwards requests until the client has no more.
fn forward(
    from: &mut impl BufRead,
    to: &mut impl Write,
    counts: &Shared,
    exchange: &Exchange,
) -> io::Result<()> {
    loop {
        if from.fill_buf()?.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            // Somebody tries TLS. The registry says what it makes of it.
            return io::copy(from, to).map(drop);
        }
        let head = head(from)?;
        if head.is_empty() {
            return Ok(());
        }
        let before = exchange.begin();
        let request = Request::of(&String::from_utf8_lossy(&head));
        counts.count(|counts| {
            if let Some((request, length)) = before {
                counts.body(&request, length, true);
            }
            *counts.requests.entry(request.kind).or_default() += 1;
            counts.sent += head.len() as u64;
        });
        // Counted first: who has an answer finds its request among the counts.
        to.write_all(&head)?;
        let mut length = 0;
        let whole = body(from, to, request.length, &mut |piece| length += piece);
        counts.count(|counts| {
            counts.sent += length;
            if whole.is_err() {
                counts.body(&request, length, false);
            } else if let Some((request, length)) = exchange.sent(request, length) {
                counts.body(&request, length, true);
            }
        });
        whole?;
    }
}

/// Reads lines up to an empty one; nothing at the end of the connection.
fn head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(Vec::new());
        }
        if matches!(&head[before..], b"\r\n" | b"\n") {
            return Ok(head);
        }
    }
}

/// Forwards the body of a request: of a length, or in chunks where there is none.
fn body(
    from: &mut impl BufRead,
    to: &mut impl Write,
    length: Option<u64>,
    count: &mut impl FnMut(u64),
) -> io::Result<()> {
    if let Some(length) = length {
        return exactly(from, to, length, count);
    }
    loop {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        to.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        let size = text.split([';', '\r', '\n']).next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        exactly(from, to, size, count)?;
        exactly(from, to, 2, &mut |_| {})?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn exactly(
    from: &mut impl BufRead,
    to: &mut impl Write,
    length: u64,
    count: &mut impl FnMut(u64),
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let piece = from.fill_buf()?;
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        if size == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&piece[..size])?;
        from.consume(size);
        left -= size as u64;
        count(size as u64);
    }
    Ok(())
}

/// Head of a request, as far as it is counted.
#[derive(Debug, PartialEq)]
struct Request {
    kind: &'static str,
    /// Without the query.
    path: String,
    /// Of the blob that an upload is to be; empty if the query has none.
    digest: String,
    /// None if the body comes in chunks.
    length: Option<u64>,
}

impl Request {
    fn of(head: &str) -> Request {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let kind = match method {
            _ if path.contains("/tags/list") => "tags",
            _ if path.contains("/referrers/") => "referrers",
            "POST" if path.contains("mount=") => "mount",
            "POST" => "begin upload",
            "PATCH" => "upload, in part",
            "PUT" if path.contains("/manifests/") => "put manifest",
            "PUT" => "upload",
            "HEAD" if path.contains("/manifests/") => "head manifest",
            "HEAD" => "head blob",
            "GET" if path.contains("/manifests/") => "get manifest",
            "GET" if path.contains("/blobs/uploads/") => "ask for an upload",
            "GET" if path.contains("/blobs/") => "get blob",
            _ => "others",
        };
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut named = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            named.next().map(|(_, value)| value.trim())
        };
        let chunked = header("transfer-encoding").is_some_and(|value| value == "chunked");
        let length = header("content-length").and_then(|value| value.parse().ok());
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let digest = query.split('&').find_map(|pair| pair.strip_prefix("digest="));
        let (path, digest) = (path.to_owned(), digest.unwrap_or_default().to_owned());
        Request { kind, path, digest, length: (!chunked).then(|| length.unwrap_or_default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(requests: &str) -> (Counts, String) {
        let (counts, exchange) = (Shared::default(), Exchange::default());
        let mut sent = Vec::new();
        let _ = forward(&mut requests.as_bytes(), &mut sent, &counts, &exchange);
        exchange.end(&counts);
        let counts = counts.lock().clone();
        (counts, String::from_utf8(sent).unwrap())
    }

    #[test]
    fn requests_are_counted_and_go_on_as_they_came() {
        let requests = "HEAD /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n\
                        PUT /v2/a/blobs/uploads/1?digest=x HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345\
                        PATCH /v2/a/blobs/uploads/2 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
                        3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n\
                        PUT /v2/a/blobs/uploads/2?digest=y HTTP/1.1\r\n\r\n\
                        POST /v2/b/blobs/uploads/?mount=x&from=a HTTP/1.1\r\n\r\n";
        let (counts, sent) = counted(requests);
        assert_eq!(sent, requests);
        let expected = [("head manifest", 1), ("mount", 1), ("upload", 2), ("upload, in part", 1)];
        assert_eq!(counts.requests, BTreeMap::from(expected));
        assert_eq!((counts.uploads, counts.uploaded, counts.unfinished()), (2, 9, 0));
    }

    #[test]
    fn what_is_no_http_goes_on_and_is_not_counted() {
        let hello = "\u{16}\u{3}\u{1} and no line";
        assert_eq!(counted(hello), (Counts::default(), hello.to_owned()));
    }

    #[test]
    fn an_upload_that_is_cut_off_is_none() {
        for (body, length) in
            [("Content-Length: 5\r\n\r\n123", 3), ("Content-Length: 1\r\n\r\n", 0)]
        {
            let requests = format!("PUT /v2/a/blobs/uploads/1 HTTP/1.1\r\n{body}");
            let (counts, sent) = counted(&requests);
            assert_eq!(sent, requests);
            assert_eq!((counts.uploads, counts.unfinished()), (0, length));
        }
        let chunks = "PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3\r\nabc\r\n3\r\nd";
        assert_eq!(counted(chunks).0.unfinished(), 4);
        let put = |repository: &str| {
            format!(
                "PUT /v2/{repository}/blobs/uploads/1?digest=x HTTP/1.1\r\nContent-Length: 3\r\n\r\n123"
            )
        };
        let (counts, _) = counted(&[put("a"), put("b"), put("a"), put("c")].concat());
        assert_eq!((counts.uploads, counts.uploaded, counts.again), (3, 9, 6));
        assert_eq!(counts.unfinished(), 3, "the last one has no answer");
        // All of a part came, but not the word that it was the last.
        let part = "PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n123";
        assert_eq!((counted(part).0.uploads, counted(part).0.unfinished()), (0, 3));
    }

    #[test]
    fn what_a_server_says_comes_back() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(&server.local_addr().unwrap().to_string()).unwrap();
        let answering = thread::spawn(move || {
            let (mut peer, _) = server.accept().unwrap();
            let mut request = [0; 39];
            peer.read_exact(&mut request).unwrap();
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.write_all(b"GET /v2/a/tags/list HTTP/1.1\r\nA: bc\r\n\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answering.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let counts = proxy.take();
        assert_eq!((counts.all(), counts.received), (1, answer.len() as u64));
        assert_eq!(proxy.take(), Counts::default());
    }
}
