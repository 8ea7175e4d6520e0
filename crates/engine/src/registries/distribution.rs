//! The manifest that a registry has under a name, without pulling it.

use registry::{Access, Caller, Credentials, TagOrDigest};
use spec::{Descriptor, MAX_CONFIG_SIZE, Manifest, MediaType, Platform, Reference, Tag};

use crate::{Engine, EngineError, Result};

/// The meaning of a name at its registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionImage {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// The platforms, as far as they are said: those of an index, or that of a config. As dockerd, no config of OCI's is
    /// looked at.
    pub platforms: Option<Vec<Platform>>,
}

impl Engine {
    /// Asks a registry what an image is. A name only means the tag `latest`.
    pub async fn distribution(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        caller: Caller,
    ) -> Result<DistributionImage> {
        let repository = reference.repository();
        if repository.familiar() == "scratch" {
            return Err(EngineError::ReservedName);
        }
        let client = self.network().client.on_behalf_of(caller);
        let remote = client.remote(repository, credentials, Access::Pull);
        let remote = remote.await.map_err(EngineError::Registry)?;
        let digest = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.clone(),
            (None, tag) => {
                let tag = TagOrDigest::Tag(tag.cloned().unwrap_or_else(Tag::latest));
                remote.resolve(&tag).await.map_err(EngineError::Registry)?.descriptor.digest
            }
        };
        let fetched = remote.manifest(&TagOrDigest::Digest(digest.clone())).await;
        let fetched = fetched.map_err(EngineError::Registry)?;
        let invalid = |source| EngineError::Manifest { reference: reference.familiar(), source };
        let manifest =
            Manifest::parse(fetched.media_type.as_ref(), &fetched.bytes).map_err(invalid)?;
        let media_type = manifest.media_type().clone();
        let descriptor = Descriptor::new(media_type.clone(), digest, fetched.bytes.len() as u64);
        let platforms = match manifest {
            Manifest::Index(index) => {
                let platforms = index.manifests.into_iter().map(|entry| entry.platform);
                Some(platforms.map(Option::unwrap_or_default).collect::<Vec<_>>())
            }
            Manifest::Image(manifest) if media_type == MediaType::DockerManifest => {
                let config = remote.blob_bytes(&manifest.config, MAX_CONFIG_SIZE).await;
                // As with dockerd, a config that cannot be had is none.
                let platform = config.ok().and_then(|config| spec::from_go_json(&config).ok());
                let platform = platform.filter(|platform: &Platform| {
                    !platform.os.is_empty() || !platform.architecture.is_empty()
                });
                platform.map(|platform| vec![platform])
            }
            Manifest::Image(_) => None,
        };
        let platforms = platforms.filter(|platforms| !platforms.is_empty());
        Ok(DistributionImage { descriptor, platforms })
    }
}
