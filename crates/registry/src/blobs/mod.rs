//! Blobs: whole, in ranges, or their sizes only.

pub(crate) mod foreign;
pub(crate) mod holder;
pub(crate) mod stream;

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{StatusCode, header};
use reqwest::{Method, Url};
use spec::{Descriptor, Digest};

use crate::{
    Attempts, RegistryError, Remote,
    auth::session::Session,
    hosts::{access::Need, crowds::Turn},
    http::{
        endpoint::{Call, Redirects},
        transport::Answer,
    },
    manifests::hash,
};
use holder::Holder;
use stream::{BlobStream, Body};

/// The least that a registry may cut a range to: less at a time would be no download but a siege.
const MIN_PART: u64 = 64 << 10;

/// The most refusals for which a request waits until others are done: one that is always refused would keep them from each other.
const MAX_REFUSALS: u32 = 3;

/// The part that a `Content-Range` names, and the whole blob's size, if it is said.
type Sent = (Range<u64>, Option<u64>);

/// A blob that a registry has, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Its size in bytes, if the registry says it.
    pub size: Option<u64>,
}

impl Remote {
    /// Asks for the bytes of a blob in `range`, and returns once they begin to arrive. What the range has beyond the
    /// blob's size is not asked for; for an empty range nobody is asked.
    pub async fn blob(
        &self,
        blob: &Descriptor,
        range: Range<u64>,
    ) -> Result<BlobStream, RegistryError> {
        let range = range.start..range.end.min(blob.size);
        if range.is_empty() {
            let body = Body::new(
                futures_util::stream::empty().boxed(),
                (String::new(), 0),
                Duration::ZERO,
                None,
            );
            let source = self.first_source(Need::Pull);
            return Ok(BlobStream { ranged: true, part: range, size_total: None, source, body });
        }
        let part = &range;
        let asked = self.ask(Need::Pull, |session| async move {
            let holder = Holder::Registry(&session);
            self.in_turn(&session, || self.blob_at(&holder, blob, part)).await
        });
        match asked.await {
            Ok(((stream, turn), source)) => {
                let mut stream = BlobStream::of(stream, &range, source);
                stream.body.hold(turn);
                Ok(stream)
            }
            Err(error) => self.elsewhere(blob, &range, error).await,
        }
    }

    /// Asks an endpoint for a blob, in a turn that is held until all of it has come. A mirror that has too
    /// many is none to wait for.
    async fn in_turn<T, F>(
        &self,
        session: &Session,
        question: impl Fn() -> F,
    ) -> Result<(T, Turn), RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let host = &session.endpoint.host;
        let mut turn = self.client().crowds().enter(&host.base).await;
        let mut refusals = 0;
        loop {
            // Boxed, as it is the largest part of what waits for it.
            match Box::pin(question()).await {
                Ok(answer) => return Ok((answer, turn)),
                Err(error) if host.mirror || refusals == MAX_REFUSALS => return Err(error),
                Err(error) => turn = turn.refused(error).await?,
            }
            refusals += 1;
        }
    }

    async fn ask_for_blob(
        &self,
        holder: &Holder<'_>,
        blob: &Descriptor,
        range: Option<&Range<u64>>,
    ) -> Result<Answer, RegistryError> {
        holder.ask(|session| self.blob_url(session, &blob.digest), range).await
    }

    /// Asks for a part of a blob, and for all of it where that is not understood. Returns the part that the answer has;
    /// none if it has all.
    async fn ask_for_range(
        &self,
        holder: &Holder<'_>,
        blob: &Descriptor,
        range: &Range<u64>,
    ) -> Result<(Answer, Option<Sent>), RegistryError> {
        let whole = *range == (0..blob.size);
        let mut refused = false;
        if !whole && !holder.refuses_ranges() {
            let answer = self.ask_for_blob(holder, blob, Some(range)).await?;
            match answer.status() {
                StatusCode::OK => return Ok((answer, None)),
                StatusCode::PARTIAL_CONTENT => {
                    let sent = content_range(&answer);
                    let fits =
                        |part: &Range<u64>| part.start == range.start && part.end <= range.end;
                    if let Some(sent) = sent.filter(|(part, _)| fits(part)) {
                        return Ok((answer, Some(sent)));
                    }
                }
                // The same without a range may well be answered: signatures of stores, proxies.
                StatusCode::BAD_REQUEST
                | StatusCode::FORBIDDEN
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::NOT_IMPLEMENTED => refused = true,
                _ => return Err(answer.refuse().await),
            }
            answer.discard().await;
        }
        let wanted = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        let answer = self.ask_for_blob(holder, blob, None).await?.expect(&wanted).await?;
        if answer.status() == StatusCode::PARTIAL_CONTENT
            && content_range(&answer).is_none_or(|(part, _)| part != (0..blob.size))
        {
            return Err(RegistryError::Header { name: "Content-Range", url: answer.url.clone() });
        }
        if refused {
            holder.refuse_ranges();
        }
        Ok((answer, None))
    }

    pub(crate) async fn blob_at(
        &self,
        holder: &Holder<'_>,
        blob: &Descriptor,
        range: &Range<u64>,
    ) -> Result<(Range<u64>, Option<u64>, Body), RegistryError> {
        let (answer, sent) = self.ask_for_range(holder, blob, range).await?;
        let (part, total) = sent.unwrap_or_else(|| (0..blob.size, answer.length()));
        if let Some(actual) = total.filter(|&total| total != blob.size) {
            let (digest, expected) = (blob.digest.clone(), blob.size);
            let request = answer.request();
            return Err(RegistryError::SizeMismatch { request, digest, expected, actual });
        }
        // A server may cut ranges, but not to nothing: what ends too soon counts as broken.
        let brings = part.end - part.start;
        let length = if part.end < range.end && brings < MIN_PART {
            range.end - range.start
        } else {
            brings
        };
        let (url, stall) = (answer.url.clone(), answer.stall());
        let count = Some((answer.metrics(), part.end == blob.size));
        let chunks = answer.into_response().bytes_stream().boxed();
        Ok((part, total, Body::new(chunks, (url, length), stall, count)))
    }

    /// Fetches a small blob, such as a config, checks it and returns its bytes. One larger than `max` is an error.
    pub async fn blob_bytes(&self, blob: &Descriptor, max: u64) -> Result<Bytes, RegistryError> {
        let mut attempts = Attempts::of_small_blob(self.client().retry_delay());
        loop {
            let asked = self.ask(Need::Pull, |session| async move {
                self.in_turn(&session, || self.blob_bytes_at(&session, blob, max)).await
            });
            let error = match asked.await {
                Ok(((bytes, _), _)) => return Ok(bytes),
                Err(error) => error,
            };
            let Some(pause) = attempts.pause(&error) else { return Err(error) };
            tracing::debug!(digest = %blob.digest, %error, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn blob_bytes_at(
        &self,
        session: &Session,
        blob: &Descriptor,
        max: u64,
    ) -> Result<Bytes, RegistryError> {
        let url = self.blob_url(session, &blob.digest);
        if blob.size > max {
            let url = session.endpoint.shown(&url);
            return Err(RegistryError::TooLarge { what: "blob", url, limit: max });
        }
        let call = Call::new(Method::GET, url).redirects(Redirects::Anywhere).at_once();
        let answer = session.send(call).await?.expect(&[StatusCode::OK]).await?;
        let (metrics, request) = (answer.metrics(), answer.request());
        let bytes = answer.collect("blob", max).await?;
        let actual = hash(&blob.digest, &bytes);
        if actual != blob.digest {
            let expected = blob.digest.clone();
            return Err(RegistryError::DigestMismatch { what: "blob", expected, actual, request });
        }
        if bytes.len() as u64 != blob.size {
            return Err(RegistryError::SizeMismatch {
                request,
                digest: blob.digest.clone(),
                expected: blob.size,
                actual: bytes.len() as u64,
            });
        }
        metrics.received_blob();
        Ok(bytes)
    }

    /// Returns a blob's size, or nothing if the repository does not have it.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let asked = self
            .ask(Need::Pull, |session| async move { self.blob_size_at(&session, digest).await });
        match asked.await {
            Ok((size, _)) => Ok(Some(size)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells whether the repository has a blob, for who sends it otherwise: a registry that does not answer the question
    /// counts as one that has not got it.
    pub async fn blob_presence(&self, digest: &Digest) -> Result<Option<Presence>, RegistryError> {
        let asked =
            self.ask(
                Need::Pull,
                |session| async move { self.blob_presence_at(&session, digest).await },
            );
        Ok(asked.await?.0)
    }

    pub(crate) async fn blob_presence_at(
        &self,
        session: &Session,
        digest: &Digest,
    ) -> Result<Option<Presence>, RegistryError> {
        let call =
            Call::new(Method::HEAD, self.blob_url(session, digest)).redirects(Redirects::Anywhere);
        let answer = session.send(call).await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(Presence { size: answer.length() })),
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => Err(answer.refuse().await),
            status if (400..=501).contains(&status.as_u16()) => {
                tracing::debug!(url = answer.url, %status, "not known to be there");
                Ok(None)
            }
            _ => Err(answer.refuse().await),
        }
    }

    async fn blob_size_at(&self, session: &Session, digest: &Digest) -> Result<u64, RegistryError> {
        let call =
            Call::new(Method::HEAD, self.blob_url(session, digest)).redirects(Redirects::Anywhere);
        let answer = session.send(call).await?.expect(&[StatusCode::OK]).await?;
        let header = RegistryError::Header { name: "Content-Length", url: answer.url.clone() };
        answer.length().ok_or(header)
    }

    pub(crate) fn blob_url(&self, session: &Session, digest: &Digest) -> Url {
        session.endpoint.reading_url(&format!("{}/blobs/{digest}", self.repository().path()))
    }
}

/// Reads `Content-Range: bytes 0-99/1000`; the total may be `*`.
fn content_range(answer: &Answer) -> Option<Sent> {
    parse_content_range(answer.header(&header::CONTENT_RANGE)?)
}

fn parse_content_range(value: &str) -> Option<Sent> {
    let (part, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.trim().split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let end = last.checked_add(1)?;
    (first < end && total.is_none_or(|total| end <= total)).then_some((first..end, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        for (value, expected) in [
            ("bytes 0-99/1000", Some((0..100, Some(1000)))),
            ("bytes 5-5/*", Some((5..6, None))),
            ("bytes 0-99/99", None),
            ("bytes 9-5/100", None),
            ("bytes */100", None),
            ("bytes 0-18446744073709551615/*", None),
            ("0-99/1000", None),
            ("items 0-99/1000", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(value), expected, "{value}");
        }
    }
}
