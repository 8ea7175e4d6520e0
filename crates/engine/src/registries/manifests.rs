//! `manifest inspect`: the documents that a name leads to at its registry.

use bytes::Bytes;
use registry::{Access, Caller, Credentials, Remote, TagOrDigest};
use spec::{Descriptor, ImageManifest, MAX_CONFIG_SIZE, Manifest, MediaType, Platform, Reference};

use crate::error::Mistake;
use crate::{Engine, EngineError, Result};

/// The most bytes of all manifests that an index lists: all are held until the last has come. Those of the largest known
/// indexes are some hundred of a few kilobytes.
const MAX_TOTAL: u64 = 64 << 20;

/// A manifest of an image.
#[derive(Clone, Debug)]
pub struct InspectedManifest {
    /// Its name, canonical, with its digest if it is an entry of an index.
    pub reference: Reference,
    /// Its descriptor. The platform is that of the index's entry, or else the config's.
    pub descriptor: Descriptor,
    /// The document, as the registry sent it.
    pub bytes: Bytes,
}

/// The image or index that a name leads to.
#[derive(Clone, Debug)]
pub enum InspectedManifests {
    /// One image.
    Image(Box<InspectedManifest>),
    /// All images of an index, in its order.
    Index(Vec<InspectedManifest>),
}

impl Engine {
    /// Fetches the manifest of a name, and those that it lists if it is an index, with their platforms.
    ///
    /// `insecure` allows plain HTTP and any certificate for this question.
    pub async fn manifest_inspect(
        &self,
        reference: &Reference,
        insecure: bool,
        credentials: &Credentials,
        caller: Caller,
    ) -> Result<InspectedManifests> {
        let reference = reference.clone().with_default_tag();
        let repository = reference.repository();
        let mut client = self.network().client.on_behalf_of(caller);
        if insecure {
            client = client.also_insecure(repository.domain()).map_err(EngineError::Registry)?;
        }
        let remote = client.remote(repository, credentials, Access::Pull);
        let remote = remote.await.map_err(EngineError::Registry)?;
        let question = Question { remote, reference: &reference };
        let target = TagOrDigest::from(&reference);
        let (manifest, descriptor, bytes) = question.fetch(&target).await?;
        let index = match manifest {
            Manifest::Index(index) => index,
            Manifest::Image(manifest) => {
                let image = question.image(&manifest, descriptor, bytes, None).await?;
                return Ok(InspectedManifests::Image(Box::new(image)));
            }
        };
        let mut total = 0;
        let mut images = Vec::with_capacity(index.manifests.len());
        for entry in index.manifests {
            let fetched = question.fetch(&TagOrDigest::Digest(entry.digest)).await?;
            let (Manifest::Image(manifest), descriptor, bytes) = fetched else {
                return Err(EngineError::InvalidParameter(Mistake::NestedIndex));
            };
            total += bytes.len() as u64;
            if total > MAX_TOTAL {
                let (name, max) = (reference.familiar(), MAX_TOTAL);
                return Err(EngineError::InvalidParameter(Mistake::ManifestsTooLarge {
                    name,
                    max,
                }));
            }
            let platform = entry.platform.unwrap_or_default();
            images.push(question.image(&manifest, descriptor, bytes, Some(platform)).await?);
        }
        Ok(InspectedManifests::Index(images))
    }
}

struct Question<'a> {
    remote: Remote,
    reference: &'a Reference,
}

impl Question<'_> {
    async fn fetch(&self, target: &TagOrDigest) -> Result<(Manifest, Descriptor, Bytes)> {
        let fetched = self.remote.manifest(target).await.map_err(|error| self.refused(error))?;
        let invalid =
            |source| EngineError::Manifest { reference: self.reference.familiar(), source };
        let manifest =
            Manifest::parse(fetched.media_type.as_ref(), &fetched.bytes).map_err(invalid)?;
        let media_type: MediaType = manifest.media_type().clone();
        let size = fetched.bytes.len() as u64;
        let descriptor = Descriptor::new(media_type, fetched.digest, size);
        Ok((manifest, descriptor, fetched.bytes))
    }

    /// Describes an image. As with docker, its config must be there also if the platform is known without.
    async fn image(
        &self,
        manifest: &ImageManifest,
        mut descriptor: Descriptor,
        bytes: Bytes,
        platform: Option<Platform>,
    ) -> Result<InspectedManifest> {
        let config = self.remote.blob_bytes(&manifest.config, MAX_CONFIG_SIZE).await;
        let config = config.map_err(|error| self.refused(error))?;
        let invalid =
            |source| EngineError::Config { digest: manifest.config.digest.clone(), source };
        let own: Platform = spec::from_go_json(&config).map_err(invalid)?;
        let (repository, tag) =
            (self.reference.repository().clone(), self.reference.tag().cloned());
        let reference = match platform {
            None => self.reference.clone(),
            Some(_) => Reference::new(repository, tag, Some(descriptor.digest.clone())),
        };
        descriptor.platform = Some(platform.unwrap_or(own));
        Ok(InspectedManifest { reference, descriptor, bytes })
    }

    /// Docker tells nobody why there is no manifest, once the registry has answered.
    fn refused(&self, error: registry::RegistryError) -> EngineError {
        if error.is_not_found() || error.is_unauthorized() {
            return EngineError::NoSuchManifest(self.reference.to_string());
        }
        EngineError::Registry(error)
    }
}
