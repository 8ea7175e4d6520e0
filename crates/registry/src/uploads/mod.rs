//! Uploads of blobs, and mounts that spare them.

pub(crate) mod parts;

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use http::{StatusCode, header};
use reqwest::{Method, Url};
use spec::{Digest, Repository};

use crate::{
    RegistryError, Remote,
    auth::session::Session,
    error::fault::RequestFault,
    error::redact,
    hosts::access::Need,
    http::endpoint::Call,
    http::links,
    http::transport::{Answer, Payload, UploadBody},
};
use parts::{Breaks, Limits};

const OCTETS: &str = "application/octet-stream";
/// The statuses by which registries say that they took what they were sent.
const TAKEN: [StatusCode; 4] =
    [StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::NO_CONTENT, StatusCode::OK];
/// The least that a registry has to take of a request that it does not take whole: one that takes byte after byte would have
/// a push send for ever.
const LEAST_TAKEN: u64 = 64 << 10;
/// The outcome of a mount.
#[derive(Debug)]
pub enum Mounted {
    /// The blob is in the repository now.
    Yes,
    /// The registry would not, and has begun an upload.
    Started(UploadSession),
}

/// An upload that the registry has begun.
///
/// Dropping it leaves it at the registry, which forgets it some day; [`UploadSession::cancel`] is kinder.
#[derive(Debug)]
pub struct UploadSession {
    remote: Remote,
    session: Arc<Session>,
    /// The URL at which it goes on. The registry's choice, renewed by every answer; it may carry secrets and is never shown.
    location: Url,
    offset: u64,
    limits: Limits,
    /// True if what is sent next is a part, and not all that is left.
    parted: bool,
    /// True if what is sent next has a connection of its own.
    alone: bool,
}

impl Remote {
    /// Begins an upload.
    pub async fn start_upload(&self) -> Result<UploadSession, RegistryError> {
        match self.post_upload(None).await? {
            Mounted::Started(upload) => Ok(upload),
            // 201 answers nothing but a mount.
            Mounted::Yes => Err(RegistryError::UploadUnknown { request: String::new() }),
        }
    }

    /// Asks the registry to take a blob over from another of its repositories. From another registry's repository
    /// there is nothing to take over: that just begins an upload.
    pub async fn mount(
        &self,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mounted, RegistryError> {
        if from.domain() != self.repository().domain() {
            return self.start_upload().await.map(Mounted::Started);
        }
        match self.post_upload(Some((digest, from))).await {
            // A token server may refuse a token for both repositories where it gives one for this.
            Err(error) if error.is_denied() || error.is_unauthorized() => {
                tracing::debug!(%error, %from, "mount refused, uploading instead");
                self.start_upload().await.map(Mounted::Started)
            }
            outcome => outcome,
        }
    }

    async fn post_upload(
        &self,
        mount: Option<(&Digest, &Repository)>,
    ) -> Result<Mounted, RegistryError> {
        let asked = self
            .ask(Need::Push, |session| async move { self.post_upload_at(session, mount).await });
        Ok(asked.await?.0)
    }

    async fn post_upload_at(
        &self,
        session: Arc<Session>,
        mount: Option<(&Digest, &Repository)>,
    ) -> Result<Mounted, RegistryError> {
        let mut url = session.endpoint.url(&format!("{}/blobs/uploads/", self.repository().path()));
        let mut scopes = Vec::new();
        if let Some((digest, from)) = mount {
            url.query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from.path());
            scopes.push(format!("repository:{}:pull", from.path()));
        }
        let call = Call::new(Method::POST, url.clone()).at_once();
        let answer = session.send_scoped(call, &scopes).await?;
        let answer = answer.expect(&TAKEN).await?;
        if mount.is_some() && answer.status() == StatusCode::CREATED {
            answer.discard().await;
            return Ok(Mounted::Yes);
        }
        let location =
            location(&session, &url, &answer)?.ok_or_else(|| malformed("Location", &answer))?;
        let limits = Limits::of(&answer);
        answer.discard().await;
        let remote = self.clone();
        Ok(Mounted::Started(UploadSession::new(remote, session, location, limits)))
    }

    /// Goes on with an upload that another process has begun, by what [`UploadSession::location`] said to it, from where
    /// the registry says that it is. Fails if the registry does not say so: then the upload has to be started anew.
    pub async fn resume_upload(&self, location: &str) -> Result<UploadSession, RegistryError> {
        let asked = self.ask(Need::Push, |session| async move {
            let base = session.endpoint.host.base.clone();
            let location = links::resolve(&base, location)
                .filter(|next| !is_exposed(&session, &base, next))
                .ok_or_else(|| RegistryError::Header { name: "Location", url: base.to_string() })?;
            let mut upload = UploadSession::new(self.clone(), session, location, Limits::default());
            upload.status().await?;
            Ok(upload)
        });
        Ok(asked.await?.0)
    }
}

impl UploadSession {
    fn new(remote: Remote, session: Arc<Session>, location: Url, limits: Limits) -> Self {
        let (offset, parted, alone) = (0, false, false);
        Self { remote, session, location, offset, limits, parted, alone }
    }

    /// Returns how many bytes the registry is known to have.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns where it goes on, for [`Remote::resume_upload`]. It may carry secrets.
    pub fn location(&self) -> &str {
        self.location.as_str()
    }

    /// Returns how much the next [`Self::append`] may carry of the `rest` of a blob that broke off so many times, and takes
    /// note of it.
    pub fn part(&mut self, rest: u64, breaks: Breaks) -> u64 {
        let small = breaks.part().map(|small| small.max(self.limits.least));
        let limits = [self.session.largest_part(), self.limits.most, small];
        let part = limits.into_iter().flatten().fold(rest, u64::min);
        self.parted = part < rest;
        self.alone = small.is_some();
        part
    }

    /// Tells whether the registry wants blobs whole, by [`Self::send`].
    pub fn is_whole(&self) -> bool {
        self.session.wants_whole_blobs() && self.offset == 0
    }

    /// Uploads what is left of a blob and finishes the upload: one `PATCH` and one `PUT`, as Docker does.
    ///
    /// `body` begins at [`Self::offset`], and `length` is its own length, if that is known. With
    /// [`RegistryError::PartsRefused`] the caller begins again with a new upload, and that is done with a single `PUT`.
    pub async fn send(
        &mut self,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        if self.is_whole() {
            return self.send_whole(body, length, digest).await;
        }
        self.append(body, length).await?;
        self.finish(digest).await
    }

    /// Uploads more of a blob, beginning at [`Self::offset`], for a blob whose digest is known only when all is sent.
    ///
    /// After an error, [`Self::status`] finds out how much of it arrived.
    pub async fn append(
        &mut self,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
    ) -> Result<(), RegistryError> {
        if length == Some(0) {
            return Ok(());
        }
        let body = UploadBody::new(body, length);
        let watch = body.watch();
        let mut call = Call::new(Method::PATCH, self.location.clone())
            .at_once()
            .header(header::CONTENT_TYPE, OCTETS)
            .payload(Payload::Upload(Some(body)))
            .slow();
        if self.alone {
            call = call.header(header::CONNECTION, "close");
        }
        if let Some(length) = length
            && (self.offset > 0 || self.parted)
        {
            let range = format!("{}-{}", self.offset, self.offset + length - 1);
            call = call.header(header::CONTENT_RANGE, &range);
        }
        let answer = self.session.send(call).await?;
        let status = answer.status();
        if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
            self.session.want_whole_blobs();
            return Err(RegistryError::PartsRefused {
                status: status.as_u16(),
                request: answer.request(),
            });
        }
        if status == StatusCode::PAYLOAD_TOO_LARGE
            && let Some(most) = self.limits.below(length.unwrap_or_else(|| watch.sent()))
        {
            self.session.limit_parts(most);
            answer.discard().await;
            return Err(RegistryError::PartTooLarge { most });
        }
        let answer = self.expect(answer, &TAKEN).await?;
        let (before, sent) = (self.offset, watch.sent());
        let end = before + sent;
        // What makes no sense is not believed; the digest tells in the end.
        let known = uploaded(&answer).filter(|known| (before + 1..=end).contains(known));
        self.offset = known.unwrap_or(end);
        self.relocate(&answer)?;
        let (method, url) = (answer.method().clone(), self.location.clone());
        answer.discard().await;
        match self.offset - before {
            taken if taken < sent.min(LEAST_TAKEN) => {
                let fault = RequestFault::LittleTaken { taken, sent };
                Err(self.session.endpoint.failed((&method, &url), fault, true))
            }
            _ => Ok(()),
        }
    }

    /// Uploads a whole blob and finishes the upload by one `PUT`: a request less than [`Self::send`], for what is small
    /// enough to be sent again.
    pub async fn send_whole(
        &mut self,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let call = self
            .put(digest)
            .header(header::CONTENT_TYPE, OCTETS)
            .payload(Payload::Upload(Some(UploadBody::new(body, length))));
        let answer = self.session.send(call).await?;
        let answer = self.expect(answer, &TAKEN).await?;
        finished(answer, digest).await?;
        self.session.endpoint.metrics.sent_blob();
        Ok(())
    }

    /// Asks the registry how much it has, and goes on from there. Returns the offset.
    ///
    /// Not every registry can: Docker's own drops an upload that was cut within a `PATCH`, as its location names the
    /// offset. That is [`RegistryError::UploadUnknown`], and the upload has to be started again.
    pub async fn status(&mut self) -> Result<u64, RegistryError> {
        let call = Call::new(Method::GET, self.location.clone()).at_once();
        let answer = self.session.send(call).await?;
        let wanted = [StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::ACCEPTED];
        let answer = self.expect(answer, &wanted).await?;
        self.offset = uploaded(&answer).ok_or_else(|| malformed("Range", &answer))?;
        self.relocate(&answer)?;
        answer.discard().await;
        Ok(self.offset)
    }

    /// Tells the registry that all was sent, and what it must hash to.
    pub async fn finish(&mut self, digest: &Digest) -> Result<(), RegistryError> {
        let answer = self.session.send(self.put(digest)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            // The answer to an earlier try may have been lost, and the blob be there.
            let refused = self.expect(answer, &[]).await;
            return match self.remote.blob_presence_at(&self.session, digest).await {
                Ok(Some(_)) => Ok(()),
                _ => refused.map(drop),
            };
        }
        let answer = self.expect(answer, &TAKEN).await?;
        finished(answer, digest).await?;
        self.session.endpoint.metrics.sent_blob();
        Ok(())
    }

    /// Tells the registry to forget the upload.
    pub async fn cancel(self) -> Result<(), RegistryError> {
        let call = Call::new(Method::DELETE, self.location.clone()).at_once();
        let answer = self.session.send(call).await?;
        match answer.status() {
            // Gone already, or a registry that only forgets by itself.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {}
            status if status.is_success() => {}
            _ => return Err(answer.refuse().await),
        }
        answer.discard().await;
        Ok(())
    }

    fn put(&self, digest: &Digest) -> Call {
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        Call::new(Method::PUT, url).slow().at_once()
    }

    async fn expect(&self, answer: Answer, wanted: &[StatusCode]) -> Result<Answer, RegistryError> {
        if answer.status() == StatusCode::NOT_FOUND {
            let request = answer.request();
            answer.discard().await;
            return Err(RegistryError::UploadUnknown { request });
        }
        answer.expect(wanted).await
    }

    fn relocate(&mut self, answer: &Answer) -> Result<(), RegistryError> {
        if let Some(location) = location(&self.session, &self.location, answer)? {
            self.location = location;
        }
        Ok(())
    }
}

async fn finished(answer: Answer, digest: &Digest) -> Result<(), RegistryError> {
    let (said, request) = (crate::manifests::content_digest(&answer), answer.request());
    answer.discard().await;
    match said.filter(|said| said.algorithm() == digest.algorithm()) {
        Some(actual) if actual != *digest => {
            let expected = digest.clone();
            Err(RegistryError::DigestMismatch { what: "blob", expected, actual, request })
        }
        _ => Ok(()),
    }
}

fn malformed(name: &'static str, answer: &Answer) -> RegistryError {
    RegistryError::Header { name, url: answer.url.clone() }
}

/// Returns where an upload goes on.
fn location(session: &Session, base: &Url, answer: &Answer) -> Result<Option<Url>, RegistryError> {
    let Some(location) = answer.header(&header::LOCATION) else { return Ok(None) };
    let Some(next) = links::resolve(base, location) else {
        return Err(malformed("Location", answer));
    };
    if is_exposed(session, base, &next) {
        let (location, reason) = (redact::shown(&next), "it leads from https to http");
        let fault = RequestFault::Redirect { location, reason };
        return Err(session.endpoint.failed((answer.method(), base), fault, true));
    }
    Ok(Some(next))
}

/// Tells whether an upload would go on in plain text that was under TLS: it carries the layer.
fn is_exposed(session: &Session, base: &Url, next: &Url) -> bool {
    next.scheme() == "http" && base.scheme() == "https" && !session.endpoint.is_insecure()
}

/// Reads how much a registry has from `Range: 0-99` (or `bytes=0-99`). `0-0` is nothing: registries say it of a new
/// upload, and an upload that stopped after one byte is none to care for.
fn uploaded(answer: &Answer) -> Option<u64> {
    parse_uploaded(answer.header(&header::RANGE)?)
}

fn parse_uploaded(value: &str) -> Option<u64> {
    let value = value.trim();
    let (first, last) = value.strip_prefix("bytes=").unwrap_or(value).split_once('-')?;
    match (first, last.parse::<u64>().ok()?) {
        ("0", 0) => Some(0),
        ("0", last) => last.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_strictly() {
        for (value, expected) in [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", Some(0)),
            ("0-1", Some(2)),
            ("5-99", None),
            ("0-18446744073709551615", None),
            ("0--1", None),
            ("99", None),
            ("", None),
        ] {
            assert_eq!(parse_uploaded(value), expected, "{value}");
        }
    }
}
