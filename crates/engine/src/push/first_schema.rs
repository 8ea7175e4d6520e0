//! The manifest of schema 1 for registries that take no other.
//!
//! It is signed by the data root's key, as such manifests always are; that says nothing of who pushed it, and registries replace it by
//! signatures of their own.

use bytes::Bytes;
use registry::SigningKey;
use spec::{Descriptor, Digest, EMPTY_LAYER, MediaType, NewSchema1, Tag, make_schema1};
use store::{Image, Store};

use super::manifest::PushedLayer;
use super::operation::{Push, refused};
use crate::document::Document;
use crate::progress::ProgressEvent;
use crate::{EngineError, Result};

impl Push {
    /// Looks at how an image's manifest was put under the tag. If the registry does not take it, puts one of schema 1 there, if that is
    /// allowed, and describes it: by the part of it that is signed.
    pub(super) async fn or_first_schema(
        &self,
        put: Result<Digest>,
        document: &Document,
        tag: &Tag,
        image: &Image,
        layers: &[PushedLayer],
    ) -> Result<Option<Descriptor>> {
        // Schema 1 has no word for layers that are elsewhere, nor for the OCI's forms of them.
        let has_words = document.media_type == MediaType::DockerManifest
            && layers.iter().all(|layer| layer.descriptor.urls.is_empty());
        match put {
            Ok(_) => Ok(None),
            Err(EngineError::Registry(error))
                if self.allows_first_schema && has_words && error.refuses_manifest() =>
            {
                tracing::warn!(%error, %tag, "the registry does not take schema 2: schema 1 is tried");
                self.first_schema(tag, image, layers).await.map(Some)
            }
            Err(error) => Err(error),
        }
    }

    async fn first_schema(
        &self,
        tag: &Tag,
        image: &Image,
        layers: &[PushedLayer],
    ) -> Result<Descriptor> {
        let layers: Vec<_> = layers.iter().map(|layer| layer.descriptor.digest.clone()).collect();
        let repository = &self.request.repository;
        let (signed, names_empty) = make_schema1(&NewSchema1 {
            name: repository.path(),
            tag: tag.as_str(),
            config: image.config.bytes(),
            layers: &layers,
        })?;
        if names_empty {
            self.empty_layer().await?;
        }
        let key = self.engine.on_disk(signing_key).await?;
        let bytes = Bytes::from(key.sign(&signed).map_err(EngineError::Sign)?);
        let put = self.remote.put_signed_manifest(tag, signed.as_bytes(), bytes).await;
        let digest = put.map_err(refused)?;
        let registry = repository.domain().to_owned();
        self.progress.report(ProgressEvent::PushedFirstSchema { registry });
        let size = signed.len() as u64;
        Ok(Descriptor::new(MediaType::DockerManifestV1Signed, digest, size))
    }

    /// Makes sure that the registry has the layer of steps that changed no file.
    async fn empty_layer(&self) -> Result<()> {
        let bytes = Bytes::from_static(&EMPTY_LAYER);
        let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
        if self.remote.blob_presence(&digest).await.map_err(refused)?.is_some() {
            return Ok(());
        }
        let blob = Descriptor::new(MediaType::DockerLayerGzip, digest, size);
        self.upload_bytes(&blob, bytes).await
    }
}

/// Returns the key of the data root, which is made when it is needed first. Blocking.
fn signing_key(store: &Store) -> Result<SigningKey> {
    let kept = store.signing_key();
    if let Some(Ok(key)) = kept.map(|text| SigningKey::parse(text.as_bytes())) {
        return Ok(key);
    }
    let key = SigningKey::generate().map_err(EngineError::Sign)?;
    let text = key.to_json().map_err(EngineError::Sign)?;
    // Any key will do.
    if let Err(error) = store.keep_signing_key(&text) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the key that signs manifests is not kept");
    }
    Ok(key)
}
