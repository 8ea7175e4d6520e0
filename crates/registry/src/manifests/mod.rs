//! Manifests: resolving a tag, fetching, storing.

pub(crate) mod about;
pub(crate) mod pages;
pub(crate) mod pull_limit;
pub(crate) mod referrers;
mod store;
pub(crate) mod tags;

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use reqwest::Method;
use spec::{Descriptor, Digest, MAX_MANIFEST_SIZE, MediaType, Reference, Repository, Schema1, Tag};

use crate::{
    Recovery, RegistryError, Remote, auth::session::Session, error::fields::no_object,
    error::refusal::page, hosts::access::Need, http::endpoint::Call, http::transport::Answer, jws,
    manifests::pull_limit::PullLimit, remote::Source,
};

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Every type that can be the answer to "what is this tag"; without the newer ones old registries convert.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
/// The same for who can do with the first schema.
const ACCEPT_ALL: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json";

/// A tag or a digest in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOrDigest {
    /// Whatever the registry says that the tag means.
    Tag(Tag),
    /// Content with this digest and no other.
    Digest(Digest),
}

impl From<Tag> for TagOrDigest {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for TagOrDigest {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<&Reference> for TagOrDigest {
    /// The digest if there is one, else the tag, which is `latest` where none is given.
    fn from(reference: &Reference) -> Self {
        match (reference.digest(), reference.tag()) {
            (Some(digest), _) => Self::Digest(digest.clone()),
            (None, tag) => Self::Tag(tag.cloned().unwrap_or_else(Tag::latest)),
        }
    }
}

impl std::fmt::Display for TagOrDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl TagOrDigest {
    /// Returns the capability it takes: the meaning of a tag has to be believed, a digest proves itself.
    fn need(&self) -> Need {
        match self {
            Self::Tag(_) => Need::Resolve,
            Self::Digest(_) => Need::Pull,
        }
    }

    /// Fails if it is a digest and `actual` is another.
    fn check(&self, actual: &Digest) -> Result<(), RegistryError> {
        self.check_as("manifest", actual)
    }

    /// As [`TagOrDigest::check`], of content that the error gives another name.
    fn check_as(&self, what: &'static str, actual: &Digest) -> Result<(), RegistryError> {
        match self {
            Self::Digest(expected) if expected != actual => Err(RegistryError::DigestMismatch {
                what,
                expected: expected.clone(),
                actual: actual.clone(),
                request: String::new(),
            }),
            _ => Ok(()),
        }
    }

    /// Hashes content with the algorithm that this target is known by.
    fn digest(&self, bytes: &[u8]) -> Digest {
        match self {
            Self::Tag(_) => Digest::sha256(bytes),
            Self::Digest(digest) => hash(digest, bytes),
        }
    }
}

/// Hashes content with the algorithm of `like`.
pub(crate) fn hash(like: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = like.hasher();
    hasher.update(bytes);
    hasher.finish()
}

/// A manifest as it was received.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// The bytes, at most [`MAX_MANIFEST_SIZE`]; of a manifest of schema 1 those that are signed, for these have the digest.
    pub bytes: Bytes,
    /// The type that the registry gives it; nothing if it says nothing of use.
    pub media_type: Option<MediaType>,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Its sender.
    pub source: Source,
}

/// The meaning of a tag or digest.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// The endpoint that says so.
    pub source: Source,
    /// The pulls that it still allows, if it says them.
    pub pull_limit: Option<PullLimit>,
}

/// The regard for an answer that there is no such manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// It is one: how the registry words it is of no interest.
    Answers,
    /// It is an error, the words of which are in the body that `HEAD` has not got.
    Fails,
}

impl Remote {
    /// Finds out what a target is, with a `HEAD` request where the registry can.
    ///
    /// A tag's digest is the registry's word, good for looking things up: what is fetched by it is checked then.
    pub async fn resolve(&self, target: &TagOrDigest) -> Result<Resolution, RegistryError> {
        self.look(target, Absence::Fails).await
    }

    /// Finds out what a target is, if it is there at all, with one request in any case where the registry can do `HEAD`.
    pub async fn find(&self, target: &TagOrDigest) -> Result<Option<Resolution>, RegistryError> {
        match self.look(target, Absence::Answers).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look(
        &self,
        target: &TagOrDigest,
        absence: Absence,
    ) -> Result<Resolution, RegistryError> {
        let asked = self.ask(target.need(), |session| async move {
            self.look_at(&session, target, absence).await
        });
        let ((descriptor, pull_limit), source) = asked.await?;
        Ok(Resolution { descriptor, source, pull_limit })
    }

    async fn look_at(
        &self,
        session: &Session,
        target: &TagOrDigest,
        absence: Absence,
    ) -> Result<(Descriptor, Option<PullLimit>), RegistryError> {
        let answer = session.send(self.manifest_call(session, Method::HEAD, target)).await?;
        let recovery = Recovery::of_status(answer.status().as_u16(), answer.retry_after());
        if answer.status() == StatusCode::OK
            && let Some(found) = described(&answer)
        {
            target.check(&found.digest)?;
            if is_of_first_schema(Some(&found.media_type)) && !self.reads_first_schema() {
                return Err(self.first_schema(target));
            }
            if found.size > MAX_MANIFEST_SIZE {
                let url = answer.url;
                return Err(RegistryError::TooLarge {
                    what: "manifest",
                    url,
                    limit: MAX_MANIFEST_SIZE,
                });
            }
            return Ok((found, PullLimit::of(&answer)));
        }
        if absence == Absence::Answers && answer.status() == StatusCode::NOT_FOUND {
            return Err(answer.refuse().await);
        }
        // A registry that does not do HEAD well, or an error, the words of which are in a body.
        let mut call = self.manifest_call(session, Method::GET, target);
        // What was to be waited for has been.
        if matches!(recovery, Recovery::Retry { .. }) {
            call = call.at_once();
        }
        let answer = session.send(call).await?;
        let pull_limit = PullLimit::of(&answer);
        let (bytes, media_type) = self.receive(target, answer).await?;
        let digest = target.digest(&bytes);
        target.check(&digest)?;
        let media_type = media_type.unwrap_or_else(|| MediaType::from(""));
        Ok((Descriptor::new(media_type, digest, bytes.len() as u64), pull_limit))
    }

    /// Fetches a manifest. Asked by digest, anything else than what it names is an error.
    pub async fn manifest(&self, target: &TagOrDigest) -> Result<FetchedManifest, RegistryError> {
        let asked = self.ask(target.need(), |session| async move {
            let (bytes, media_type) = self.manifest_at(&session, target).await?;
            let digest = target.digest(&bytes);
            target.check(&digest)?;
            Ok((bytes, media_type, digest))
        });
        let ((bytes, media_type, digest), source) = asked.await?;
        Ok(FetchedManifest { bytes, media_type, digest, source })
    }

    pub(crate) async fn manifest_at(
        &self,
        session: &Session,
        target: &TagOrDigest,
    ) -> Result<(Bytes, Option<MediaType>), RegistryError> {
        let call = self.manifest_call(session, Method::GET, target);
        self.receive(target, session.send(call).await?).await
    }

    /// Finds out what a target is at the endpoint that is written to: mirrors may be behind.
    pub(crate) async fn look_where_written(
        &self,
        target: &TagOrDigest,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let asked = self.ask(Need::Push, |session| async move {
            self.look_at(&session, target, Absence::Answers).await
        });
        match asked.await {
            Ok(((found, _), _)) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns a target as users write it.
    pub(crate) fn name_of(&self, target: &TagOrDigest) -> String {
        let separator = if matches!(target, TagOrDigest::Tag(_)) { ':' } else { '@' };
        format!("{}{separator}{target}", self.repository())
    }

    fn manifest_call(&self, session: &Session, method: Method, target: &TagOrDigest) -> Call {
        manifest_call(session, self.repository(), method, target, self.reads_first_schema())
    }

    /// Receives a manifest. Of one of the first schema, by its type or by what it says of itself, it is the part that is signed, once
    /// the signatures are found good; a digest is that of this part.
    async fn receive(
        &self,
        target: &TagOrDigest,
        answer: Answer,
    ) -> Result<(Bytes, Option<MediaType>), RegistryError> {
        let answer = answer.expect(&[StatusCode::OK]).await?;
        let media_type = media_type(&answer);
        let bytes = document(answer, "manifest", MAX_MANIFEST_SIZE).await?;
        if !is_of_first_schema(media_type.as_ref()) && !Schema1::is(&bytes) {
            return Ok((bytes, media_type));
        }
        if !self.reads_first_schema() {
            return Err(self.first_schema(target));
        }
        let signed = jws::verify(&bytes)
            .map_err(|source| RegistryError::Signature { name: self.name_of(target), source })?;
        target.check_as("image", &target.digest(&signed))?;
        Ok((signed, Some(MediaType::DockerManifestV1Signed)))
    }

    fn first_schema(&self, target: &TagOrDigest) -> RegistryError {
        RegistryError::FirstSchema { name: self.name_of(target) }
    }
}

pub(crate) fn manifest_path(repository: &Repository, target: &TagOrDigest) -> String {
    format!("{}/manifests/{target}", repository.path())
}

/// Makes a request for a manifest.
pub(crate) fn manifest_call(
    session: &Session,
    repository: &Repository,
    method: Method,
    target: &TagOrDigest,
    first_schema: bool,
) -> Call {
    let url = session.endpoint.reading_url(&manifest_path(repository, target));
    let accept = if first_schema { ACCEPT_ALL } else { ACCEPT };
    Call::new(method, url).header(header::ACCEPT, accept)
}

/// Receives a JSON document. What can be none, such as the page of a portal, is an error in Go's words.
pub(crate) async fn document(
    answer: Answer,
    what: &'static str,
    limit: u64,
) -> Result<Bytes, RegistryError> {
    let request = answer.request();
    let bytes = answer.collect(what, limit).await?;
    let text = String::from_utf8_lossy(&bytes);
    let Some(reason) = no_object(&text) else { return Ok(bytes) };
    let reason = format!("{reason}{}", page(&text));
    Err(RegistryError::Unmarshalling { request, reason })
}

fn is_of_first_schema(media_type: Option<&MediaType>) -> bool {
    use MediaType::{DockerManifestV1, DockerManifestV1Signed};
    matches!(media_type, Some(DockerManifestV1 | DockerManifestV1Signed))
}

/// Reads what `HEAD` says, if it says all.
pub(crate) fn described(answer: &Answer) -> Option<Descriptor> {
    Some(Descriptor::new(media_type(answer)?, content_digest(answer)?, answer.length()?))
}

pub(crate) fn content_digest(answer: &Answer) -> Option<Digest> {
    answer.header(&CONTENT_DIGEST)?.trim().parse().ok()
}

/// Returns the type that an answer gives its body; not one that means "something".
fn media_type(answer: &Answer) -> Option<MediaType> {
    let value = answer.header(&header::CONTENT_TYPE)?;
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(MediaType::from(essence.as_str())).filter(|media_type| !media_type.is_generic())
}
