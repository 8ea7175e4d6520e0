//! An object at a registry that somebody asks for or changes, and how it is reached.

use bytes::Bytes;
use registry::{
    Access, Caller, Client, Credentials, FetchedManifest, PullLimit, Remote, TagOrDigest,
};
use spec::{
    Descriptor, Index, MAX_CONFIG_SIZE, Manifest, MediaType, Platform, Reference, Repository,
};

use crate::pull::choose;
use crate::{Engine, EngineError, Result};

/// An object at a registry, and who asks for it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The object. A name only means the tag `latest`.
    pub reference: Reference,
    /// The one of an index that is meant, if not the index.
    pub platform: Option<Platform>,
    /// The credentials for the registry itself.
    pub credentials: Credentials,
    /// On whose behalf.
    pub caller: Caller,
}

/// A document at a registry, as it is there.
#[derive(Clone, Debug)]
pub struct RegistryDocument {
    /// Type, digest and size.
    pub descriptor: Descriptor,
    /// The content.
    pub bytes: Bytes,
}

/// A manifest that was fetched and read.
pub(super) struct Found {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    pub(super) manifest: Manifest,
}

impl Engine {
    /// Finds out what a name means. Where a platform is meant, that is the manifest for it.
    pub async fn registry_resolve(&self, visit: &Visit) -> Result<(Descriptor, Option<PullLimit>)> {
        let remote = self.visit(visit, Access::Pull).await?;
        let found = remote.resolve(&TagOrDigest::from(&visit.reference)).await;
        let found = found.map_err(EngineError::Registry)?;
        if visit.platform.is_none() || !found.descriptor.media_type.is_index() {
            return Ok((found.descriptor, found.pull_limit));
        }
        let index = visit.fetch(&remote, &found.descriptor.digest.into()).await?;
        let Manifest::Index(index) = index.manifest else {
            return Ok((index.descriptor, found.pull_limit));
        };
        Ok((visit.choose(&index)?.clone(), found.pull_limit))
    }

    /// Fetches a manifest or an index, byte for byte.
    pub async fn registry_manifest(&self, visit: &Visit) -> Result<RegistryDocument> {
        let remote = self.visit(visit, Access::Pull).await?;
        let found = visit.fetch_meant(&remote).await?;
        Ok(RegistryDocument { descriptor: found.descriptor, bytes: found.bytes })
    }

    /// Fetches the config of an image, byte for byte; of an index that of the image for the platform, or for this machine.
    pub async fn registry_config(&self, visit: &Visit) -> Result<RegistryDocument> {
        let remote = self.visit(visit, Access::Pull).await?;
        let mut found = visit.fetch(&remote, &TagOrDigest::from(&visit.reference)).await?;
        if let Manifest::Index(index) = &found.manifest {
            let digest = visit.choose(index)?.digest.clone();
            found = visit.fetch(&remote, &digest.into()).await?;
        }
        let Manifest::Image(image) = found.manifest else {
            return Err(EngineError::InvalidParameter(crate::Mistake::NestedIndex));
        };
        let bytes = remote.blob_bytes(&image.config, MAX_CONFIG_SIZE).await;
        let bytes = bytes.map_err(EngineError::Registry)?;
        Ok(RegistryDocument { descriptor: image.config, bytes })
    }

    pub(super) async fn visit(&self, visit: &Visit, access: Access) -> Result<Remote> {
        visit.remote(&self.network().client, visit.reference.repository(), access).await
    }
}

impl Visit {
    pub(super) async fn remote(
        &self,
        client: &Client,
        repository: &Repository,
        access: Access,
    ) -> Result<Remote> {
        let client = client.on_behalf_of(self.caller.clone());
        let remote = client.remote(repository, &self.credentials, access).await;
        remote.map_err(EngineError::Registry)
    }

    /// Fetches a manifest and reads it.
    pub(super) async fn fetch(&self, remote: &Remote, target: &TagOrDigest) -> Result<Found> {
        self.read(remote.manifest(target).await.map_err(EngineError::Registry)?)
    }

    pub(super) fn read(&self, fetched: FetchedManifest) -> Result<Found> {
        let invalid =
            |source| EngineError::Manifest { reference: self.reference.familiar(), source };
        let manifest =
            Manifest::parse(fetched.media_type.as_ref(), &fetched.bytes).map_err(invalid)?;
        let media_type: MediaType = manifest.media_type().clone();
        let size = fetched.bytes.len() as u64;
        let descriptor = Descriptor::new(media_type, fetched.digest, size);
        Ok(Found { descriptor, bytes: fetched.bytes, manifest })
    }

    /// Fetches what is meant: of an index, where a platform is meant, the manifest for it.
    pub(super) async fn fetch_meant(&self, remote: &Remote) -> Result<Found> {
        let found = self.fetch(remote, &TagOrDigest::from(&self.reference)).await?;
        match &found.manifest {
            Manifest::Index(index) if self.platform.is_some() => {
                self.fetch(remote, &self.choose(index)?.digest.clone().into()).await
            }
            _ => Ok(found),
        }
    }

    /// Chooses the image of an index that is meant.
    pub(super) fn choose<'i>(&self, index: &'i Index) -> Result<&'i Descriptor> {
        let wanted = self.platform.clone().unwrap_or_else(Platform::host);
        choose(&index.manifests, &wanted).map_err(|_| {
            let offered = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
            let offered = offered.filter(|platform| platform.os != "unknown");
            let mut offered: Vec<String> = offered.map(Platform::specifier).collect();
            offered.dedup();
            let (wanted, offered) = (wanted.specifier(), Platform::list_offered(offered));
            EngineError::NoSuchPlatform { wanted, offered }
        })
    }
}
