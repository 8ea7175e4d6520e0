//! Files that are no blobs of a registry: what `import` is pointed to.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use reqwest::Url;

use crate::{
    Client, Credentials, RegistryError,
    auth::credentials::basic_header,
    error::refusal::{MAX_ERROR_BODY, status_line},
    http::endpoint::Call,
    http::transport::Answer,
};

/// A file on its way. A server that breaks off or stalls is an error, where it said how much there is.
#[derive(Debug)]
pub struct Download {
    /// The size in bytes, if the server says it.
    pub length: Option<u64>,
    answer: Answer,
}

impl Download {
    /// Returns the next bytes; nothing at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        self.answer.chunk().await
    }
}

impl Client {
    /// Asks an `http` or `https` URL for what is there, and returns once it begins to arrive.
    ///
    /// Proxies are as for registries. User name and password in the URL are shown to its own host only, and redirects
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
        let mut call = Call::new(Method::GET, url);
        let answer =
            Arc::clone(&endpoint).exchange(&mut call, authorization.as_ref(), false).await?;
        if answer.status().as_u16() >= 400 {
            return Err(refused(answer).await);
        }
        Ok(Download { length: answer.length(), answer })
    }
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
