//! Manifests that are stored, and what a registry says of it.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use reqwest::Method;
use spec::{Descriptor, Digest, DigestError, MediaType, Tag};

use super::{CONTENT_DIGEST, TagOrDigest, about, manifest_path};
use crate::error::refusal::page;
use crate::hosts::access::Need;
use crate::http::endpoint::Call;
use crate::http::transport::{Answer, Payload};
use crate::{RegistryError, Remote};

/// By this a registry says that it lists a manifest among the referrers of its subject.
static OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The beginning of an answer's body in which a web page has its title.
const MAX_PAGE: usize = 4096;

/// The answer to a manifest that was stored.
#[derive(Clone, Copy)]
pub(crate) struct Stored {
    /// True if the registry has listed it among the referrers of its subject.
    listed: bool,
    /// True if the registry told its digest.
    told: bool,
}

impl Remote {
    /// Stores a manifest under a tag or its digest, and returns its digest.
    ///
    /// If it refers to another one and the registry does not keep the list of those, the list that clients keep gets it.
    pub async fn put_manifest(
        &self,
        target: &TagOrDigest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        Ok(self.put(target, media_type, bytes).await?.0)
    }

    async fn put(
        &self,
        target: &TagOrDigest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(Digest, Stored), RegistryError> {
        let (digest, stored) = self.store_manifest(target, media_type, &bytes).await?;
        if !stored.listed
            && let Some(subject) = about::subject(&bytes)
        {
            let referrer = Descriptor::new(media_type.clone(), digest.clone(), bytes.len() as u64);
            self.list_referrer(&subject, &referrer, &bytes).await?;
        }
        Ok((digest, stored))
    }

    /// As [`Remote::put_manifest`], and where the answer names no digest the registry is asked whether it has what it took.
    pub async fn put_manifest_surely(
        &self,
        target: &TagOrDigest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        let (digest, stored) = self.put(target, media_type, bytes).await?;
        if stored.told {
            return Ok(digest);
        }
        let found = self.look_where_written(target).await?;
        self.agreed(target, digest, found)
    }

    /// Gives a manifest one more tag, and sees to it that the tag means it. A registry that does not tell is believed.
    pub async fn tag_manifest(
        &self,
        tag: &Tag,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        let target = TagOrDigest::Tag(tag.clone());
        let digest = self.put_manifest(&target, media_type, bytes).await?;
        match self.look_where_written(&target).await {
            Ok(found) => self.agreed(&target, digest, found),
            Err(error) => {
                tracing::debug!(%error, %tag, "cannot see what the tag means");
                Ok(digest)
            }
        }
    }

    /// Sees to it that a target is what was stored under it.
    fn agreed(
        &self,
        target: &TagOrDigest,
        digest: Digest,
        found: Option<Descriptor>,
    ) -> Result<Digest, RegistryError> {
        // Another algorithm says nothing about these bytes.
        match found.map(|found| found.digest) {
            Some(actual) if actual.algorithm() != digest.algorithm() || actual == digest => {
                Ok(digest)
            }
            actual => Err(RegistryError::NotMoved { name: self.name_of(target), actual }),
        }
    }

    /// Stores a manifest. Returns its digest, and what the registry says.
    pub(crate) async fn store_manifest(
        &self,
        target: &TagOrDigest,
        media_type: &MediaType,
        bytes: &Bytes,
    ) -> Result<(Digest, Stored), RegistryError> {
        let digest = target.digest(bytes);
        target.check(&digest)?;
        let stored = self.store(target, media_type, bytes, &digest).await?;
        Ok((digest, stored))
    }

    /// Stores a manifest of schema 1 under a tag. `signed` is the part of it that is signed, whose digest is the manifest's.
    pub async fn put_signed_manifest(
        &self,
        tag: &Tag,
        signed: &[u8],
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        let (target, digest) = (TagOrDigest::Tag(tag.clone()), Digest::sha256(signed));
        self.store(&target, &MediaType::DockerManifestV1Signed, &bytes, &digest).await?;
        Ok(digest)
    }

    async fn store(
        &self,
        target: &TagOrDigest,
        media_type: &MediaType,
        bytes: &Bytes,
        wanted_digest: &Digest,
    ) -> Result<Stored, RegistryError> {
        let asked = self.ask(Need::Push, |session| async move {
            let url = session.endpoint.url(&manifest_path(self.repository(), target));
            let call = Call::new(Method::PUT, url)
                .header(header::CONTENT_TYPE, media_type.as_str())
                .payload(Payload::Bytes(bytes.clone()))
                .slow();
            let wanted =
                [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED, StatusCode::NO_CONTENT];
            let mut answer = session.send(call).await?.expect(&wanted).await?;
            let (said, request) = (stored_digest(&answer)?, answer.request());
            let listed = answer.headers().contains_key(&OCI_SUBJECT);
            // Another algorithm says nothing about these bytes.
            match said.filter(|said| said.algorithm() == wanted_digest.algorithm()) {
                Some(actual) if actual != *wanted_digest => Err(RegistryError::DigestMismatch {
                    what: "manifest",
                    expected: wanted_digest.clone(),
                    actual,
                    request,
                }),
                Some(_) => {
                    answer.discard().await;
                    Ok(Stored { listed, told: true })
                }
                None => match page(&String::from_utf8_lossy(&answer.prefix(MAX_PAGE).await)) {
                    page if page.is_empty() => Ok(Stored { listed, told: false }),
                    page => {
                        let reason = format!("this is no answer of a registry{page}");
                        Err(RegistryError::Unmarshalling { request, reason })
                    }
                },
            }
        });
        Ok(asked.await?.0)
    }
}

/// Reads the digest that a registry says it stored a manifest by, if it is one that can be checked here.
fn stored_digest(answer: &Answer) -> Result<Option<Digest>, RegistryError> {
    let said = answer.header(&CONTENT_DIGEST).unwrap_or_default().trim();
    match said.parse() {
        Ok(digest) => Ok(Some(digest)),
        Err(_) if said.is_empty() => Ok(None),
        Err(DigestError::Algorithm) => Ok(None),
        Err(error) => {
            let reason = format!("the header Docker-Content-Digest has an {error}");
            Err(RegistryError::Unmarshalling { request: answer.request(), reason })
        }
    }
}
