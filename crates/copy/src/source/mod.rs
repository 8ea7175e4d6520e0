//! Where images come from.

#![allow(clippy::unnecessary_wraps, reason = "files have no host")]

pub(crate) mod registry;

use std::fmt;

use spec::{Descriptor, Digest, Manifest, Repository, Tag};

use self::registry::RegistrySource;
use crate::document::Document;
use crate::error::Result;
use crate::pieces::Pieces;
use crate::{CopyError, Place, Side};

/// An image, or a repository of them, that can be read. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Registry(RegistrySource),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Registry(source) => source.fmt(f),
        }
    }
}

impl Source {
    /// Opens a place to read from. A registry is not asked yet.
    pub async fn open(place: &Place, side: &Side) -> Result<Self> {
        match place {
            Place::Registry(reference) => {
                Ok(Self(Kind::Registry(RegistrySource::open(reference, side).await?)))
            }
        }
    }

    /// Lists the tags of the repository.
    pub async fn tags(&self) -> Result<Vec<Tag>> {
        match &self.0 {
            Kind::Registry(source) => source.tags().await,
        }
    }

    /// Returns the image of another tag of the same repository.
    #[must_use]
    pub fn tagged(&self, tag: &Tag) -> Self {
        match &self.0 {
            Kind::Registry(source) => Self(Kind::Registry(source.tagged(tag))),
        }
    }

    /// Returns the host that has a budget, if it is one.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Registry(source) => Some(source.host()),
        }
    }

    /// Returns the repository, if it is one.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        match &self.0 {
            Kind::Registry(source) => Some(source.repository()),
        }
    }

    /// Returns the digest of the image, as far as the source tells without sending it.
    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        match &self.0 {
            Kind::Registry(source) => source.digest().await,
        }
    }

    /// Returns the document that the name means, or that of a digest.
    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        match &self.0 {
            Kind::Registry(source) => source.document(digest).await,
        }
    }

    /// Opens a blob at a place in it.
    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        match &self.0 {
            Kind::Registry(source) => source.blob(blob, start).await,
        }
    }

    /// Reads a document of this source.
    pub(crate) fn parse(&self, document: &Document) -> Result<Manifest> {
        Manifest::parse(document.media_type.as_ref(), &document.bytes).map_err(|source| {
            CopyError::Manifest { place: self.to_string(), digest: document.digest.clone(), source }
        })
    }
}
