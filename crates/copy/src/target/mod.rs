//! Where images go.

#![allow(clippy::unnecessary_wraps, reason = "files have no host")]

pub(crate) mod registry;

use std::fmt;

use bytes::Bytes;
use spec::{Descriptor, Digest, MediaType, Tag};

use self::registry::RegistryTarget;
use crate::error::Result;
use crate::progress::Outcome;
use crate::shared::Shared;
use crate::source::Source;
use crate::{Place, Side};

/// A place that images are written to, and the name that the next one gets there. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Target(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Registry(RegistryTarget),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Registry(target) => target.fmt(f),
        }
    }
}

impl Target {
    /// Opens a place to write to. A registry is not asked yet.
    pub async fn open(place: &Place, side: &Side) -> Result<Self> {
        match place {
            Place::Registry(reference) => {
                Ok(Self(Kind::Registry(RegistryTarget::open(reference, side).await?)))
            }
        }
    }

    /// Returns the same place with another tag for the next image.
    #[must_use]
    pub fn tagged(&self, tag: &Tag) -> Self {
        match &self.0 {
            Kind::Registry(target) => Self(Kind::Registry(target.tagged(tag))),
        }
    }

    /// Returns the host that has a budget, if it is one.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Registry(target) => Some(target.host()),
        }
    }

    /// Returns a text by which places with documents of their own differ.
    pub(crate) fn key(&self) -> String {
        match &self.0 {
            Kind::Registry(target) => target.key(),
        }
    }

    /// Returns the digest that the image must have, if the name is one.
    pub(crate) fn demanded(&self) -> Option<&Digest> {
        match &self.0 {
            Kind::Registry(target) => target.demanded(),
        }
    }

    /// Returns the digest of what has the name now.
    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        match &self.0 {
            Kind::Registry(target) => target.digest().await,
        }
    }

    /// Says whether a document is there, and with it all that it names.
    pub(crate) async fn has(&self, digest: &Digest) -> Result<bool> {
        match &self.0 {
            Kind::Registry(target) => target.has(digest).await,
        }
    }

    /// Sees to it that a blob is there. Returns nothing if this copy has done so before.
    pub(crate) async fn blob(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
    ) -> Result<Option<Outcome>> {
        match &self.0 {
            Kind::Registry(target) => target.blob(shared, source, blob).await,
        }
    }

    /// Stores a document: the root of an image under its name, others under their digest.
    pub(crate) async fn put(
        &self,
        is_root: bool,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<()> {
        match &self.0 {
            Kind::Registry(target) => target.put(is_root, digest, media_type, bytes).await,
        }
    }
}
