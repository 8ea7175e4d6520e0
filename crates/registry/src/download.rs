//! Files that are no blobs of a registry: what `import` and `load` are pointed to.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::Url;

use crate::{
    Attempts, Client, Credentials, RegistryError,
    auth::credentials::basic_header,
    error::refusal::{MAX_ERROR_BODY, status_line},
    http::endpoint::{Call, Endpoint},
    http::transport::Answer,
};

/// The connections in a row that may bring too little.
const MAX_ATTEMPTS: u32 = 6;

/// A file on its way.
///
/// Where a connection breaks off or stalls, the rest comes by another one, if the server tells by an `ETag` or a time that it is still
/// the same file.
#[derive(Debug)]
pub struct Download {
    /// The address for messages.
    pub url: String,
    /// The size in bytes, if the server says it.
    pub length: Option<u64>,
    asked: Asked,
    /// The body that comes; nothing after a failure.
    answer: Option<Answer>,
    /// The file as the first answer tells it.
    file: Version,
    position: u64,
    /// Bytes of the answer that have come before.
    known: u64,
    attempts: Attempts,
}

/// The request for a file.
#[derive(Debug)]
struct Asked {
    endpoint: Arc<Endpoint>,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Asked {
    fn call(&self) -> Call {
        // A place in what is compressed on the way is no place in the file.
        Call::new(Method::GET, self.url.clone()).header(header::ACCEPT_ENCODING, "identity")
    }
}

impl Download {
    /// Returns the next bytes; nothing at the end. A server that ends before it has sent all that it announced is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let error = match self.next().await {
                Ok(chunk) => return Ok(chunk),
                Err(error) => error,
            };
            self.answer = None;
            let is_known = self.file.validator().is_some();
            let pause = if is_known { self.attempts.pause(&error) } else { None };
            let Some(pause) = pause else { return Err(error) };
            tracing::debug!(url = %self.url, %error, ?pause, at = self.position, "going on");
            tokio::time::sleep(pause).await;
        }
    }

    /// Refuses a success that is not the file: a server may have taken note of the request, have nothing, or give a part.
    pub async fn whole_file(mut self) -> Result<Self, RegistryError> {
        match self.answer.take_if(|answer| answer.status() != StatusCode::OK) {
            Some(answer) => Err(refused(answer).await),
            None => Ok(self),
        }
    }

    /// Returns how much of the file has come.
    pub fn position(&self) -> u64 {
        self.position
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        if self.answer.is_none() {
            let (answer, known) = self.rest().await?;
            (self.answer, self.known) = (Some(answer), known);
        }
        let Some(answer) = &mut self.answer else { return Ok(None) };
        loop {
            let Some(mut chunk) = answer.chunk().await? else {
                let (url, received) = (self.url.clone(), self.position);
                return match self.length.filter(|expected| received < *expected) {
                    Some(expected) => Err(RegistryError::Truncated { url, received, expected }),
                    None => Ok(None),
                };
            };
            let known = chunk.len().min(usize::try_from(self.known).unwrap_or(usize::MAX));
            self.known -= known as u64;
            let chunk = chunk.split_off(known);
            if chunk.is_empty() {
                continue;
            }
            self.position += chunk.len() as u64;
            self.attempts.brought(chunk.len() as u64);
            return Ok(Some(chunk));
        }
    }

    /// Asks for what has not come yet; returns how much of the answer has.
    async fn rest(&mut self) -> Result<(Answer, u64), RegistryError> {
        let Asked { endpoint, authorization, .. } = &self.asked;
        let range = format!("bytes={}-", self.position);
        let mut call = self.asked.call().header(header::RANGE, &range).at_once();
        if let Some(validator) = self.file.validator() {
            call.headers.insert(header::IF_RANGE, validator.clone());
        }
        let answer = endpoint.exchange(&mut call, authorization.as_ref(), true).await?;
        // Not every server that gives ranges heeds the condition.
        let is_same = self.file.is_of(answer.headers());
        let known = match answer.status() {
            StatusCode::PARTIAL_CONTENT if is_same => {
                self.length = Some(self.whole(answer.headers()).ok_or_else(|| self.changed())?);
                0
            }
            // All of it once more, where the server knows no ranges.
            StatusCode::OK if is_same => self.position,
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(self.changed());
            }
            status if status.is_success() => return Err(self.changed()),
            _ => return Err(refused(answer).await),
        };
        Ok((answer, known))
    }

    /// Returns how large the file is by a part of it, if that begins where the next bytes are wanted. It may end early, so that somebody
    /// has to have said it.
    fn whole(&self, part: &HeaderMap) -> Option<u64> {
        let (start, size) = range_of(part)?;
        let whole = size.or(self.length)?;
        let is_rest = start == self.position && self.length.unwrap_or(whole) == whole;
        is_rest.then_some(whole)
    }

    fn changed(&self) -> RegistryError {
        RegistryError::DownloadChanged { url: self.url.clone() }
    }
}

impl Client {
    /// Asks an `http` or `https` URL for what is there, and returns once it begins to arrive.
    ///
    /// Proxies and certificates are as for registries. User name and password in the URL are shown to its own host only, and redirects
    /// are followed but from https to http.
    pub async fn download(&self, url: &str) -> Result<Download, RegistryError> {
        let bad = |reason: &dyn std::fmt::Display| RegistryError::DownloadUrl {
            url: url.rsplit('@').next().unwrap_or_default().to_owned(),
            reason: reason.to_string(),
        };
        let mut url = Url::parse(url).map_err(|error| bad(&error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RegistryError::DownloadScheme {
                scheme: url.scheme().to_owned(),
                url: crate::error::redact::shown(&url),
            });
        }
        let authorization = authorization(&url);
        // Cannot fail: the URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let endpoint = self.plain_endpoint(&url).await?;
        let asked = Asked { endpoint, url, authorization };
        let call = &mut asked.call();
        let answer = asked.endpoint.exchange(call, asked.authorization.as_ref(), false).await?;
        if answer.status().as_u16() >= 400 {
            return Err(refused(answer).await);
        }
        Ok(Download {
            url: asked.endpoint.shown(&asked.url),
            length: answer.length(),
            file: Version::of(answer.headers()),
            asked,
            answer: Some(answer),
            position: 0,
            known: 0,
            attempts: Attempts::beginning_with(self.retry_delay(), MAX_ATTEMPTS),
        })
    }
}

/// The marks by which an answer tells its file: `ETag` and `Last-Modified`.
#[derive(Debug)]
struct Version {
    tag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Version {
    fn of(headers: &HeaderMap) -> Self {
        let of = |name: HeaderName| headers.get(name).cloned();
        Self { tag: of(header::ETAG), modified: of(header::LAST_MODIFIED) }
    }

    /// Returns what tells whether the file is the same later. A weak tag does not, nor may a date beside it stand in for it.
    fn validator(&self) -> Option<&HeaderValue> {
        let is_strong = |tag: &HeaderValue| !tag.as_bytes().starts_with(b"W/");
        match &self.tag {
            Some(tag) => Some(tag).filter(|tag| is_strong(tag)),
            None => self.modified.as_ref(),
        }
    }

    /// Says whether another answer is of the same file: it has to say so, and not of another time.
    fn is_of(&self, headers: &HeaderMap) -> bool {
        let other = Self::of(headers);
        let times = self.modified.as_ref().zip(other.modified.as_ref());
        self.validator() == other.validator() && times.is_none_or(|(one, other)| one == other)
    }
}

/// Reads where a part begins, and how large the whole is: `bytes 5-9/10`.
fn range_of(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, size) = text.split_once('/')?;
    let (start, _) = part.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()))
}

fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_decoded(text);
    let (username, password) = (decode(url.username()), decode(url.password().unwrap_or_default()));
    let credentials = Credentials::Basic { username, password };
    let (username, password) = credentials.basic()?;
    let mut header = HeaderValue::from_str(&basic_header(username, password)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Undoes the escapes of a URL's user name or password.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = &tail[if byte.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn refused(mut answer: Answer) -> RegistryError {
    let body = answer.prefix(MAX_ERROR_BODY).await;
    RegistryError::DownloadRefused {
        status: answer.status().as_u16(),
        line: status_line(answer.status()),
        body: String::from_utf8_lossy(&body).trim().to_owned(),
        url: answer.url,
    }
}
