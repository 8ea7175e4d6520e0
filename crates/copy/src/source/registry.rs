//! A repository of a registry, to read from.

use std::fmt;

use futures_util::StreamExt as _;
use registry::{Access, Remote, TagOrDigest};
use spec::{Descriptor, Digest, Reference, Repository, Tag};

use crate::document::Document;
use crate::error::Result;
use crate::pieces::Pieces;
use crate::{CopyError, Side};

#[derive(Clone, Debug)]
pub(crate) struct RegistrySource {
    remote: Remote,
    name: TagOrDigest,
}

impl fmt::Display for RegistrySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(&self.name))
    }
}

impl RegistrySource {
    pub(crate) async fn open(reference: &Reference, side: &Side) -> Result<Self> {
        let remote = side.remote(reference.repository(), Access::Pull).await?;
        Ok(Self { remote, name: TagOrDigest::from(reference) })
    }

    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        Self { remote: self.remote.clone(), name: TagOrDigest::Tag(tag.clone()) }
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(crate) fn repository(&self) -> &Repository {
        self.remote.repository()
    }

    pub(crate) async fn tags(&self) -> Result<Vec<Tag>> {
        let tags = self.remote.tags().await;
        tags.map_err(|source| CopyError::registry(self.repository(), source))
    }

    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>> {
        let found = self.remote.referrers(subject, None).await;
        let found = found.map_err(|source| CopyError::registry(self.repository(), source))?;
        Ok(found.list.into_iter().map(|referrer| referrer.descriptor.digest).collect())
    }

    pub(crate) async fn cosign_tags(&self, subject: &Digest) -> Result<Vec<(Tag, Digest)>> {
        let found = self.remote.cosign_tags(subject).await;
        let found = found.map_err(|source| CopyError::registry(self.repository(), source))?;
        Ok(found.into_iter().map(|(tag, descriptor)| (tag, descriptor.digest)).collect())
    }

    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        if let TagOrDigest::Digest(digest) = &self.name {
            return Ok(Some(digest.clone()));
        }
        let found = self.remote.find(&self.name).await;
        let found = found.map_err(|source| CopyError::registry(self, source))?;
        Ok(found.map(|found| found.descriptor.digest))
    }

    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        let wanted = digest.map_or_else(|| self.name.clone(), |digest| digest.clone().into());
        let fetched = self.remote.manifest(&wanted).await;
        let fetched =
            fetched.map_err(|source| CopyError::registry(&self.shown(&wanted), source))?;
        let (bytes, media_type) = (fetched.bytes, fetched.media_type);
        Ok(Document { bytes, media_type, digest: fetched.digest })
    }

    fn shown(&self, name: &TagOrDigest) -> String {
        let separator = if matches!(name, TagOrDigest::Tag(_)) { ':' } else { '@' };
        format!("{}{separator}{name}", self.repository())
    }

    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        let place = format!("{self}: blob {}", blob.digest);
        let stream = self.remote.blob(blob, start..blob.size).await;
        let stream = stream.map_err(|source| CopyError::registry(&place, source))?;
        let start = stream.part.start;
        let pieces =
            stream.map(move |piece| piece.map_err(|source| CopyError::registry(&place, source)));
        Ok(Pieces { start, pieces: pieces.boxed() })
    }
}
