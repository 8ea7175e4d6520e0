//! Places that images go to.

pub(crate) mod archive;
mod folder;
pub(crate) mod layout;
pub(crate) mod registry;

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use bytes::Bytes;
use spec::{Descriptor, Digest, MediaType, Tag};

use self::archive::{ArchiveTarget, Output};
use self::folder::Held;
use self::layout::LayoutTarget;
use self::registry::RegistryTarget;
use crate::document::Document;
use crate::error::Result;
use crate::progress::Outcome;
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, Place, PrivateKey, Side};

/// A place that images are written to, and the name that the next one gets there. Clones are cheap, and of one place.
#[derive(Clone, Debug)]
pub struct Target(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Registry(RegistryTarget),
    Layout(LayoutTarget),
    Archive(ArchiveTarget),
}

/// A stream that an archive goes to.
pub type Stream = Box<dyn Write + Send>;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Registry(target) => target.fmt(f),
            Kind::Layout(target) => target.fmt(f),
            Kind::Archive(target) => target.fmt(f),
        }
    }
}

impl Target {
    /// Opens a place to write to. A registry is not asked yet, and no file is made. `stream` is standard output or the way to the
    /// daemon, if the place is one of these.
    pub async fn open(place: &Place, side: &Side, stream: Option<Stream>) -> Result<Self> {
        let output = |file: Option<&PathBuf>| match (file, stream) {
            (Some(file), _) => Ok(Output::File(file.clone())),
            (None, Some(stream)) => Ok(Output::Stream(stream)),
            (None, None) => Err(CopyError::NoStream { place: place.to_string() }),
        };
        Ok(Self(match place {
            Place::Registry(reference) => {
                Kind::Registry(RegistryTarget::open(reference, side).await?)
            }
            Place::Layout(folder, name) => Kind::Layout(LayoutTarget::layout(folder, name)),
            Place::Directory(folder) => Kind::Layout(LayoutTarget::directory(folder).await?),
            Place::OciArchive(file, name) => {
                let output = output(file.as_ref())?;
                Kind::Archive(ArchiveTarget::oci(place.to_string(), output, name))
            }
            Place::DockerArchive(file, name) => {
                let output = output(file.as_ref())?;
                Kind::Archive(ArchiveTarget::docker(place.to_string(), output, name.as_ref()))
            }
            Place::Daemon(name) => {
                let output = output(None)?;
                Kind::Archive(ArchiveTarget::docker(place.to_string(), output, Some(name)))
            }
        }))
    }

    /// Returns the same place with another tag for the next image.
    #[must_use]
    pub fn tagged(&self, tag: &Tag) -> Self {
        match &self.0 {
            Kind::Registry(target) => Self(Kind::Registry(target.tagged(tag))),
            Kind::Layout(target) => Self(Kind::Layout(target.tagged(tag))),
            Kind::Archive(target) => Self(Kind::Archive(target.tagged(tag))),
        }
    }

    /// Returns the same place, where the next image gets no name.
    pub(crate) fn unnamed(&self) -> Self {
        Self(match &self.0 {
            Kind::Registry(target) => Kind::Registry(target.unnamed()),
            Kind::Layout(target) => Kind::Layout(target.unnamed()),
            Kind::Archive(target) => Kind::Archive(target.unnamed()),
        })
    }

    /// Says whether what refers to an image has room beside it, and does not make it ambiguous.
    pub(crate) fn takes_referrers(&self) -> bool {
        match &self.0 {
            Kind::Registry(_) => true,
            Kind::Layout(target) => target.is_named_layout(),
            Kind::Archive(target) => target.is_named_layout(),
        }
    }

    /// Lists the manifests there that refer to another, and may list more.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<HashSet<Digest>> {
        match &self.0 {
            Kind::Registry(target) => target.referrers(subject).await,
            Kind::Layout(target) => target.listed().await,
            Kind::Archive(_) => Ok(HashSet::new()),
        }
    }

    /// Says whether signatures are looked for there.
    pub(crate) fn takes_signatures(&self) -> bool {
        matches!(self.0, Kind::Registry(_))
    }

    /// Signs what was stored under the target's name. Returns whether the signature is new.
    pub async fn sign(&self, key: &PrivateKey, digest: &Digest) -> Result<bool> {
        match &self.0 {
            Kind::Registry(target) => target.sign(key, digest).await,
            Kind::Layout(_) | Kind::Archive(_) => {
                Err(CopyError::NoSignatures { target: self.to_string() })
            }
        }
    }

    /// Ends an archive, after its last image.
    pub async fn finish(&self) -> Result<()> {
        match &self.0 {
            Kind::Archive(target) => target.finish().await,
            Kind::Registry(_) | Kind::Layout(_) => Ok(()),
        }
    }

    /// Returns the host that has a budget, if it is one.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Registry(target) => Some(target.host()),
            Kind::Layout(_) | Kind::Archive(_) => None,
        }
    }

    /// Returns a text by which places with documents of their own differ.
    pub(crate) fn key(&self) -> String {
        match &self.0 {
            Kind::Registry(target) => target.key(),
            Kind::Layout(target) => target.key(),
            Kind::Archive(target) => target.key(),
        }
    }

    /// Returns the digest that the image must have, if the name is one.
    pub(crate) fn demanded(&self) -> Option<&Digest> {
        match &self.0 {
            Kind::Registry(target) => target.demanded(),
            Kind::Layout(_) | Kind::Archive(_) => None,
        }
    }

    /// Holds a place that has one image against other copies, until what is returned goes. Unless the run is dry.
    pub(crate) async fn hold(&self, shared: &Shared) -> Result<Option<Held>> {
        match &self.0 {
            Kind::Layout(target) if !shared.mode.dry => target.hold().await,
            Kind::Layout(_) | Kind::Registry(_) | Kind::Archive(_) => Ok(None),
        }
    }

    /// Returns the digest of what has the name now.
    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        match &self.0 {
            Kind::Registry(target) => target.digest().await,
            Kind::Layout(target) => target.digest().await,
            Kind::Archive(_) => Ok(None),
        }
    }

    /// Returns a document that is there, and whole, when it is the host's turn; what it names may be not.
    pub(crate) async fn document(
        &self,
        shared: &Shared,
        digest: &Digest,
    ) -> Result<Option<Document>> {
        let _turn = shared.budget.turn(&[self.host()]).await;
        match &self.0 {
            Kind::Registry(target) => target.document(digest).await,
            Kind::Layout(target) => target.document(digest).await,
            Kind::Archive(_) => Ok(None),
        }
    }

    /// Says whether a blob is there, as far as this run knows or is told.
    pub(crate) async fn has(&self, shared: &Shared, blob: &Descriptor) -> Result<bool> {
        match &self.0 {
            Kind::Registry(target) => target.has(shared, blob).await,
            Kind::Layout(target) => target.has(shared, blob).await,
            Kind::Archive(target) => Ok(target.has(&blob.digest).await),
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
            Kind::Layout(target) => target.blob(shared, source, blob).await,
            Kind::Archive(target) => target.blob(shared, source, blob).await,
        }
    }

    /// Stores a document when it is the host's turn, unless the run is dry: the root of an image under its name, others under
    /// their digest.
    pub(crate) async fn store(
        &self,
        shared: &Shared,
        is_root: bool,
        document: &Document,
        media_type: &MediaType,
    ) -> Result<()> {
        if shared.mode.dry {
            return Ok(());
        }
        let _turn = shared.budget.turn(&[self.host()]).await;
        self.put(is_root, &document.digest, media_type, document.bytes.clone()).await
    }

    async fn put(
        &self,
        is_root: bool,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<()> {
        match &self.0 {
            Kind::Registry(target) => target.put(is_root, digest, media_type, bytes).await,
            Kind::Layout(target) => target.put(is_root, digest, media_type, bytes).await,
            Kind::Archive(target) => target.put(is_root, digest, media_type, bytes).await,
        }
    }
}
