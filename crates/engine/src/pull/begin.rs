//! The beginning of a pull, before it says a word of layers: the manifest, the config, and the downloads that
//! need not wait for the config.

use std::sync::Arc;

use bytes::Bytes;
use registry::TagOrDigest;
use spec::{
    Descriptor, Digest, ImageConfig, ImageId, ImageManifest, MAX_CONFIG_SIZE, Raw, Reference,
};
use tokio::sync::OnceCell;

use super::manifest::{Found, Resolved, check_size};
use super::operation::Pull;
use super::parts::Part;
use super::plan::absent;
use crate::engine::blocking;
use crate::transfer::{Blob, Download, Watcher};
use crate::{EngineError, Progress, Result};

/// An image whose manifest and config are here.
pub(super) struct Begun {
    pub(super) resolved: Resolved,
    pub(super) id: ImageId,
    pub(super) config: Raw<ImageConfig>,
    /// Downloads that the layers' jobs join.
    pub(super) ahead: Vec<(Digest, Download)>,
    /// Set if the user has been told of these.
    pub(super) is_told: bool,
    /// Manifests and indexes that are kept beside it.
    pub(super) parts: Vec<Part>,
    /// Findings on the image's own manifests.
    pub(super) findings: Vec<(Digest, String)>,
    /// Kept as long as others may ask for the same.
    pub(super) _cell: Option<Arc<OnceCell<Bytes>>>,
}

impl Pull {
    /// Finds out what a reference means, and begins to fetch what it takes. Nothing is unpacked yet.
    pub(super) async fn begin(&self, reference: &Reference, progress: &Progress) -> Result<Begun> {
        let target = TagOrDigest::from(reference);
        let mut resolved = match self.resolve(&target, reference, progress).await? {
            Found::Image(resolved) => *resolved,
            Found::FirstSchema(found) => {
                self.admit(reference, std::slice::from_ref(&found.descriptor)).await?;
                return self.begin_first_schema(*found, reference, progress).await;
            }
        };
        let admitted = self.admit(reference, &resolved.descriptors()).await?;
        let manifest = resolved.manifest.value();
        let id = ImageId::new(manifest.config.digest.clone());
        self.hold_image(&id).await?;
        let wanted = id.clone();
        let local = self.engine.on_disk(move |store| Ok(store.image(&wanted)?)).await?;
        let (ahead, cell, bytes) = if let Some(image) = local {
            let bytes = image.config.bytes().clone();
            check_size(&manifest.config, bytes.len() as u64, reference)?;
            (Vec::new(), None, bytes)
        } else {
            let ahead = self.fetch_ahead(manifest).await?;
            let (bytes, cell) = self.config(&manifest.config).await?;
            (ahead, Some(cell), bytes)
        };
        let checked = self.checked(&resolved, bytes, reference, progress).await;
        match checked {
            Ok((config, parts)) => {
                let (is_told, findings) = (false, admitted.findings);
                resolved.pass(admitted.passed);
                Ok(Begun { resolved, id, config, ahead, is_told, parts, findings, _cell: cell })
            }
            Err(error) => {
                self.give_up(ahead).await;
                Err(error)
            }
        }
    }

    /// Reads the config, and finds the parts that are kept beside the image.
    pub(super) async fn checked(
        &self,
        resolved: &Resolved,
        config: Bytes,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<(Raw<ImageConfig>, Vec<Part>)> {
        let config = parse(&resolved.manifest.value().config, config)?;
        self.check_platform(config.value(), reference)?;
        let parts = self.parts(resolved, config.value(), reference, progress).await?;
        Ok((config, parts))
    }

    pub(super) async fn hold_image(&self, id: &ImageId) -> Result<()> {
        let (lease, id) = (Arc::clone(&self.lease), id.clone());
        self.engine.on_disk(move |_| Ok(lease.hold_image(&id)?)).await
    }

    /// Fetches a config, once for all who want it at a time. The client compares the digest.
    async fn config(&self, descriptor: &Descriptor) -> Result<(Bytes, Arc<OnceCell<Bytes>>)> {
        let cell = self.configs.cell(&descriptor.digest);
        let fetch = || self.remote.blob_bytes(descriptor, MAX_CONFIG_SIZE);
        let bytes = cell.get_or_try_init(fetch).await.map_err(EngineError::Registry)?.clone();
        Ok((bytes, cell))
    }

    /// Begins to download the layers that are nowhere here, while the config is on its way. Nobody is told of it: the
    /// layers' jobs join the downloads and tell of them then.
    async fn fetch_ahead(&self, manifest: &ImageManifest) -> Result<Vec<(Digest, Download)>> {
        let mut ahead = Vec::new();
        for descriptor in self.absent_layers(manifest).await? {
            let watcher = Watcher::Relay(Arc::default());
            let download =
                self.engine.download(&self.remote, &descriptor, &self.lease, watcher).await?;
            ahead.push((descriptor.digest, download));
        }
        Ok(ahead)
    }

    /// Checks the layers of a manifest, and lists those that are surely [`absent`].
    async fn absent_layers(&self, manifest: &ImageManifest) -> Result<Vec<Descriptor>> {
        let layers = manifest.layers.clone();
        if let Some(other) = layers.iter().find(|layer| !layer.media_type.may_be_layer()) {
            return Err(EngineError::UnsupportedMediaType(other.media_type.clone()));
        }
        self.engine.store().check_depth(layers.len()).map_err(EngineError::RegisterLayer)?;
        let lease = Arc::clone(&self.lease);
        self.engine.on_disk(move |store| absent(store, &lease, layers)).await
    }

    /// Ends downloads that nobody needs, and throws away what they brought, unless somebody else has joined them.
    pub(super) async fn give_up(&self, downloads: Vec<(Digest, Download)>) {
        for (digest, download) in downloads {
            let take = |blob: &Blob| blob.ingest().clone();
            let left = self.engine.0.downloads.abandon(&digest, download, take);
            if let Some(ingest) = left {
                // What cannot be thrown away is a partial download like another.
                let _ = blocking(move || {
                    ingest.discard();
                    Ok(())
                })
                .await;
            }
        }
    }
}

fn parse(descriptor: &Descriptor, bytes: Bytes) -> Result<Raw<ImageConfig>> {
    let invalid = |source| EngineError::Config { digest: descriptor.digest.clone(), source };
    Raw::parse(bytes, ImageConfig::parse).map_err(invalid)
}
