//! The manifest that an image came with, and the one that it is pushed with.

use std::sync::Arc;

use archive::Compression;
use spec::{
    ChainId, Descriptor, DiffId, Digest, ImageManifest, MAX_MANIFEST_SIZE, Manifest, MediaType, Raw,
};
use store::{Image, Layer, Lease, Store};

use crate::document::Document;
use crate::error::Missing;
use crate::save::parts::compression_of;
use crate::{EngineError, Result};

/// All that is known of an image that is to be pushed.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) image: Arc<Image>,
    /// The layers, the bottom one first.
    pub(super) layers: Vec<LayerToPush>,
    /// The manifest that the image came with, if it came with one.
    manifest: Option<Raw<ImageManifest>>,
}

/// A layer that is to be at the registry.
#[derive(Clone, Debug)]
pub(super) struct LayerToPush {
    pub(super) diff_id: DiffId,
    pub(super) chain_id: ChainId,
    /// The blob that the image's manifest names.
    pub(super) known: Option<Descriptor>,
}

/// A layer that is at the registry.
#[derive(Clone, Debug)]
pub(super) struct PushedLayer {
    pub(super) diff_id: DiffId,
    pub(super) descriptor: Descriptor,
}

impl LayerToPush {
    /// Returns the name under which users see the layer.
    pub(super) fn label(&self) -> String {
        self.diff_id.digest().short()
    }
}

impl Origin {
    /// Reads all of it from the store. Blocking.
    pub(super) fn gather(store: &Store, lease: &Lease, image: Arc<Image>) -> Result<Self> {
        let diff_ids = image.config.value().rootfs.diff_ids.clone();
        let manifest = manifest_of(store, &image)?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (index, (diff_id, chain_id)) in
            diff_ids.iter().zip(ChainId::chain(&diff_ids)).enumerate()
        {
            lease.hold_layer(&chain_id)?;
            let Some(layer) = store.layer(&chain_id)? else {
                return Err(EngineError::Missing(Missing::LayerToPush(chain_id)));
            };
            let known = match &manifest {
                Some(manifest) => Some(manifest.value().layers[index].clone()),
                None => packed(store, &layer)?,
            };
            if let Some(descriptor) = &known {
                lease.hold_blob(&descriptor.digest)?;
            }
            layers.push(LayerToPush { diff_id: diff_id.clone(), chain_id, known });
        }
        Ok(Self { image, layers, manifest })
    }

    /// Returns the manifest that the image came with, if another one is pushed.
    pub(super) fn given_up(&self, document: &Document) -> Option<&Digest> {
        self.manifest.as_ref().map(Raw::digest).filter(|came_with| **came_with != document.digest)
    }

    /// Returns the manifest to push: the one that the image came with if its layers are still those.
    pub(super) fn document(&self, layers: &[PushedLayer]) -> Result<Document> {
        if let Some(manifest) = &self.manifest {
            let same = |(was, is): (&Descriptor, &PushedLayer)| was.digest == is.descriptor.digest;
            if manifest.value().layers.iter().zip(layers).all(same) {
                return Ok(Document {
                    config: manifest.value().config.clone(),
                    media_type: manifest.value().media_type.clone(),
                    digest: manifest.digest().clone(),
                    bytes: manifest.bytes().clone(),
                });
            }
        }
        let id = self.image.id.digest().clone();
        let layers: Vec<_> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        Document::make(id, self.image.config.bytes().len() as u64, &layers)
    }
}

/// Describes the blob that a layer without a manifest is kept in, if registries know its form.
fn packed(store: &Store, layer: &Layer) -> Result<Option<Descriptor>> {
    let Some(digest) = &layer.blob else { return Ok(None) };
    let Some(blob) = store.blob(digest)? else { return Ok(None) };
    let media_type = match compression_of(&blob)? {
        Compression::Gzip => MediaType::DockerLayerGzip,
        Compression::Zstd => MediaType::OciLayerZstd,
        Compression::None | Compression::Xz | Compression::Bzip2 => return Ok(None),
    };
    Ok(Some(Descriptor::new(media_type, digest.clone(), blob.size)))
}

/// Returns the manifest with which an image was pulled; of several the one of which most blobs are here.
fn manifest_of(store: &Store, image: &Image) -> Result<Option<Raw<ImageManifest>>> {
    let mut best: Option<(usize, Raw<ImageManifest>)> = None;
    for descriptor in store.manifests_of(&image.id)? {
        if !descriptor.media_type.is_manifest() {
            continue;
        }
        let Some(bytes) = store.read_blob(&descriptor.digest, MAX_MANIFEST_SIZE)? else { continue };
        let Ok(Manifest::Image(manifest)) = Manifest::parse(Some(&descriptor.media_type), &bytes)
        else {
            tracing::warn!(manifest = %descriptor.digest, "a kept manifest cannot be read");
            continue;
        };
        let fits = manifest.config.digest == *image.id.digest()
            && manifest.layers.len() == image.config.value().rootfs.diff_ids.len();
        if !fits {
            continue;
        }
        let mut present = 0;
        for layer in &manifest.layers {
            present += usize::from(store.blob(&layer.digest)?.is_some());
        }
        // The later one wins a draw: it was pulled later.
        if best.as_ref().is_none_or(|(other, _)| present >= *other) {
            best = Some((present, Raw::parse(bytes, |_| Ok::<_, EngineError>(*manifest))?));
        }
    }
    Ok(best.map(|(_, manifest)| manifest))
}

#[cfg(test)]
mod tests;
