//! An archive at a URL: sent on while it arrives, and gone on with where the connection broke.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::client::{Feed, RequestBody, Source, public_tls};
use crate::error::{CliError, with_causes};

/// The most redirects: a download service has one or two.
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The time without a byte after which a connection counts as broken.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// The least that a connection has to bring: a server that gives byte after byte would have a load connect for ever.
const LEAST: u64 = 64 << 10;
/// The connections in a row that may bring less, and the pause before the third; it doubles with each.
const MAX_ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// A download under way.
struct Download {
    http: Client,
    url: Url,
    /// The URL as it may be shown: without password and parameters.
    shown: String,
    position: u64,
    total: Option<u64>,
    /// A strong `ETag` or a time, by which the server tells whether the file is still the same.
    validator: Option<HeaderValue>,
    /// The file as the first answer tells it, for comparison.
    first: Version,
}

/// The end of one connection.
enum End {
    /// All is there, or nobody wants it any more.
    Done,
    /// It broke off; the next one may go on.
    Cut(String),
    /// Another one would not help.
    Failed(String),
}

/// Says whether an input is a URL.
pub(super) fn is_url(input: &str) -> bool {
    input.starts_with("http://") || input.starts_with("https://")
}

/// Begins to download a URL for a request.
pub(super) async fn open(url: &str) -> Result<(RequestBody, Source), CliError> {
    let parsed = Url::parse(url)
        .map_err(|error| CliError::Refused(format!("invalid URL of an archive: {error}")))?;
    let mut download = Download::new(parsed)?;
    let refused = |why| CliError::Refused(format!("get {}: {why}", download.shown));
    let response = download.ask().await.map_err(|error| refused(told(error)))?;
    if response.status() != StatusCode::OK {
        return Err(refused(response.status().to_string()));
    }
    download.validator = validator(response.headers());
    download.first = Version::of(response.headers());
    download.total = response.content_length();
    let (feed, body, mut source) = Feed::new(download.shown.clone());
    source.size = download.total;
    tokio::spawn(download.run(response, feed));
    Ok((body, source))
}

impl Download {
    fn new(url: Url) -> Result<Self, CliError> {
        let policy = Policy::custom(|attempt| match refusal(attempt.previous(), attempt.url()) {
            Some(why) => attempt.error(why),
            None => attempt.follow(),
        });
        // Credentials of the URL go to its host alone: a redirect to another one takes them away.
        let http = Client::builder()
            .tls_backend_preconfigured(public_tls())
            .redirect(policy)
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
            .build();
        let http = http.map_err(|error| CliError::Refused(told(error)))?;
        let mut shown = url.clone();
        // Neither is possible only for URLs without a host, which http has not.
        let _ = (shown.set_password(None), shown.set_username(""));
        shown.set_query(None);
        shown.set_fragment(None);
        let shown = shown.to_string();
        let first = Version::default();
        Ok(Self { http, url, shown, position: 0, total: None, validator: None, first })
    }

    /// Asks for what is not there yet.
    async fn ask(&self) -> Result<Response, reqwest::Error> {
        let mut request = self.http.get(self.url.clone()).header(ACCEPT_ENCODING, "identity");
        if self.position > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.position));
            if let Some(validator) = &self.validator {
                request = request.header(IF_RANGE, validator.clone());
            }
        }
        request.send().await
    }

    async fn run(mut self, first: Response, feed: Feed) {
        let mut response = Some(first);
        let mut attempts = Attempts::default();
        loop {
            let before = self.position;
            let end = match response.take() {
                Some(first) => self.receive(first, 0, &feed).await,
                None => self.go_on(&feed).await,
            };
            let why = match end {
                End::Done => return,
                End::Cut(why) if self.validator.is_some() => {
                    match attempts.pause(self.position - before) {
                        Some(pause) => {
                            tokio::time::sleep(pause).await;
                            continue;
                        }
                        None => why,
                    }
                }
                End::Cut(why) | End::Failed(why) => why,
            };
            let text = format!("get {}: {why} (after {} bytes)", self.shown, self.position);
            feed.send(Err(io::Error::other(text))).await;
            return;
        }
    }

    /// Receives what is left by another connection.
    async fn go_on(&mut self, feed: &Feed) -> End {
        let changed = || End::Failed("the file changed while it was read".to_owned());
        let response = match self.ask().await {
            Ok(response) => response,
            Err(error) => return End::Cut(told(error)),
        };
        // Not every server that gives ranges heeds the condition.
        if response.status().is_success() && self.first.differs(response.headers()) {
            return changed();
        }
        let skip = match response.status() {
            StatusCode::PARTIAL_CONTENT => match range(response.headers()) {
                Some((start, total)) if start == self.position && total == self.total => 0,
                _ => return changed(),
            },
            // All of it once more, where the server knows no ranges.
            StatusCode::OK if validator(response.headers()) == self.validator => self.position,
            StatusCode::OK
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE => {
                return changed();
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return End::Cut(status.to_string());
            }
            status => return End::Failed(status.to_string()),
        };
        self.receive(response, skip, feed).await
    }

    /// Sends an answer on, without the first `skip` bytes of it.
    async fn receive(&mut self, mut response: Response, mut skip: u64, feed: &Feed) -> End {
        loop {
            let mut chunk: Bytes = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) if self.total.is_some_and(|total| self.position < total) => {
                    return End::Cut("the connection ended".to_owned());
                }
                Ok(None) => return End::Done,
                Err(error) => return End::Cut(told(error)),
            };
            let known = chunk.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            skip -= known as u64;
            let chunk = chunk.split_off(known);
            self.position += chunk.len() as u64;
            if !chunk.is_empty() && !feed.send(Ok(chunk)).await {
                return End::Done;
            }
        }
    }
}

/// Connections in a row that brought too little.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// Returns the pause after a connection that broke off and brought so many bytes; nothing if it was the last.
    fn pause(&mut self, brought: u64) -> Option<Duration> {
        self.0 = if brought < LEAST { self.0 + 1 } else { 0 };
        match self.0 {
            0..=2 => Some(Duration::ZERO),
            poor if poor <= MAX_ATTEMPTS => Some(PAUSE * 2_u32.pow(poor - 3)),
            _ => None,
        }
    }
}

/// The marks by which an answer tells its file: `ETag` and `Last-Modified`.
#[derive(Default)]
struct Version([Option<HeaderValue>; 2]);

impl Version {
    fn of(headers: &HeaderMap) -> Self {
        Self([ETAG, LAST_MODIFIED].map(|name| headers.get(name).cloned()))
    }

    /// Says whether another answer is from another file, as far as both say anything. A tag may become weak on its way.
    fn differs(&self, headers: &HeaderMap) -> bool {
        let strong = |value: &HeaderValue| {
            let bytes = value.as_bytes();
            bytes.strip_prefix(b"W/").unwrap_or(bytes).to_owned()
        };
        let both = self.0.iter().zip(Self::of(headers).0);
        both.filter_map(|(one, other)| Some((one.as_ref()?, other?)))
            .any(|(one, other)| strong(one) != strong(&other))
    }
}

/// Says why a redirect is not followed.
fn refusal(before: &[Url], next: &Url) -> Option<&'static str> {
    if before.len() > MAX_REDIRECTS {
        return Some("it redirects too often");
    }
    let was_secret = before.iter().any(|url| url.scheme() == "https");
    (was_secret && next.scheme() != "https").then_some("it redirects from https to http")
}

/// Returns what tells whether a file is the same later; a weak tag does not.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    tag.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// Reads where a part begins, and how large the whole is: `bytes 5-9/10`.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, total) = text.split_once('/')?;
    let (start, _) = part.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}

/// Tells an error without the URL, which may hold a password.
fn told(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use test_support::scripted::{Answer, Scripted};

    use super::*;

    const TEXT: &str = "all of an archive";

    /// Downloads from a server that gives these answers; returns what came, or what is said.
    async fn got(server: &Scripted, answers: Vec<Answer>) -> Result<String, String> {
        server.on("GET", "/a.tar", answers);
        let url = format!("http://me:secret@{}/a.tar?token=hidden", server.host());
        let body = match open(&url).await {
            Ok((body, _)) => body.collect().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        body.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    fn whole(tag: &str) -> Answer {
        Answer::status(200).header("ETag", tag).body(TEXT)
    }

    fn part(start: usize, says: &str) -> Answer {
        Answer::status(206).header("Content-Range", says).body(&TEXT.as_bytes()[start..])
    }

    #[tokio::test]
    async fn a_broken_connection_is_gone_on_with_where_the_file_is_the_same() {
        let cut = || whole("\"1\"").cut_after(5);
        let dated = |day: &str| whole("\"1\"").header("Last-Modified", day);
        let dated_part = |day: &str| part(5, "bytes 5-16/17").header("Last-Modified", day);
        let changed = Err("the file changed while it was read (after 5 bytes)");
        let table = [
            (vec![whole("\"1\"")], Ok(TEXT)),
            (vec![Answer::status(200).body(TEXT)], Ok(TEXT)),
            (vec![cut(), part(5, "bytes 5-16/17")], Ok(TEXT)),
            (
                vec![cut(), part(5, "bytes 5-16/17").cut_after(4), part(9, "bytes 9-16/17")],
                Ok(TEXT),
            ),
            // A server without ranges, and one that is down for a moment.
            (vec![cut(), whole("\"1\"")], Ok(TEXT)),
            (vec![cut(), Answer::status(503), part(5, "bytes 5-16/17")], Ok(TEXT)),
            (vec![cut(), whole("\"2\"")], changed),
            (vec![cut(), part(5, "bytes 4-16/17")], changed),
            (vec![cut(), part(5, "bytes 5-16/18")], changed),
            (vec![cut(), part(5, "nonsense")], changed),
            (vec![cut(), Answer::status(416)], changed),
            // Servers that do not heed the condition.
            (vec![cut(), part(5, "bytes 5-16/17").header("ETag", "\"2\"")], changed),
            (vec![dated("Mon").cut_after(5), dated_part("Tue")], changed),
            (vec![dated("Mon").cut_after(5), dated_part("Mon")], Ok(TEXT)),
            (vec![cut(), part(5, "bytes 5-16/17").header("ETag", "W/\"1\"")], Ok(TEXT)),
            (vec![cut(), Answer::status(403)], Err("403 Forbidden (after 5 bytes)")),
            (vec![whole("W/\"1\"").cut_after(5)], Err("(after 5 bytes)")),
            (vec![Answer::status(404)], Err("404 Not Found")),
            (vec![Answer::hang_up()], Err("")),
        ];
        for (answers, expected) in table {
            let server = Scripted::start().await.unwrap();
            let shown = format!("get http://{}/a.tar: ", server.host());
            let text = format!("{answers:?}");
            match (got(&server, answers).await, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
                (Err(said), Err(expected)) => {
                    assert!(said.starts_with(&shown) && said.contains(expected), "{said}: {text}");
                    assert!(!said.contains("secret") && !said.contains("hidden"), "{said}");
                }
                (got, _) => panic!("{text}: {got:?}"),
            }
            for (number, request) in server.received().iter().enumerate().skip(1) {
                assert_eq!(request.header("if-range"), Some("\"1\""), "{text}");
                let range = request.header("range").unwrap();
                assert!(range == "bytes=5-" || (number == 2 && range == "bytes=9-"), "{range}");
            }
        }
    }

    #[test]
    fn connections_that_bring_little_get_longer_pauses_and_an_end() {
        let mut attempts = Attempts::default();
        let pauses = std::iter::from_fn(|| attempts.pause(1)).map(|pause| pause.as_secs());
        assert_eq!(pauses.take(99).collect::<Vec<_>>(), [0, 0, 1, 2, 4, 8]);
        assert_eq!(attempts.pause(LEAST), Some(Duration::ZERO));
        let pauses = [LEAST - 1, 0, 5].map(|brought| attempts.pause(brought));
        assert_eq!(pauses, [Some(Duration::ZERO), Some(Duration::ZERO), Some(PAUSE)]);
    }

    #[tokio::test]
    async fn credentials_stay_with_their_host_and_redirects_end() {
        let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
        other.on("GET", "/b.tar", [whole("\"1\"")]);
        let away = Answer::redirect(302, &format!("{}/b.tar", other.url()));
        assert_eq!(got(&server, vec![away]).await.unwrap(), TEXT);
        assert!(server.received()[0].header("authorization").is_some());
        let asked = &other.received()[0];
        assert_eq!((asked.header("authorization"), asked.header("referer")), (None, None));

        let server = Scripted::start().await.unwrap();
        let said = got(&server, vec![Answer::redirect(302, "/a.tar")]).await.unwrap_err();
        assert!(said.contains("it redirects too often"), "{said}");
        assert_eq!(server.received().len(), MAX_REDIRECTS + 1);
    }

    #[test]
    fn no_redirect_leaves_tls() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (before, next, expected) in [
            (&["https://a/"][..], "https://b/", None),
            (&["http://a/"], "http://b/", None),
            (&["http://a/"], "https://b/", None),
            (&["https://a/"], "http://a/", Some("it redirects from https to http")),
            (&["https://a/", "https://b/"], "http://b/", Some("it redirects from https to http")),
        ] {
            let before: Vec<Url> = before.iter().map(|text| url(text)).collect();
            assert_eq!(refusal(&before, &url(next)), expected, "{before:?} {next}");
        }
    }
}
