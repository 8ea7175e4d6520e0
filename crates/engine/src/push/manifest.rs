//! The manifest that an image came with, and the one that it is pushed with.

use std::sync::Arc;

use archive::Compression;
use bytes::Bytes;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use spec::{
    ChainId, Descriptor, DiffId, Digest, ImageManifest, LayerCompression, MAX_MANIFEST_SIZE,
    Manifest, MediaType, Raw,
};
use store::{Image, Layer, Lease, Store};

use crate::error::{Defect, Missing};
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
        Document::make(id, self.image.config.bytes().len() as u64, layers)
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

/// A manifest as it goes up.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) config: Descriptor,
    pub(super) media_type: MediaType,
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

/// The fields in the order in which Docker writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    schema_version: u32,
    media_type: &'a MediaType,
    config: &'a Descriptor,
    layers: Vec<&'a Descriptor>,
}

impl Document {
    /// Makes a manifest: Docker's schema 2, or OCI's where a layer has a form that schema 2 has no name for.
    fn make(config: Digest, config_size: u64, layers: &[PushedLayer]) -> Result<Self> {
        let is_oci = layers.iter().any(|layer| {
            layer.descriptor.media_type.layer_compression() == Some(LayerCompression::Zstd)
        });
        let (media_type, config_type) = if is_oci {
            (MediaType::OciManifest, MediaType::OciConfig)
        } else {
            (MediaType::DockerManifest, MediaType::DockerConfig)
        };
        let config = Descriptor::new(config_type, config, config_size);
        let layers: Vec<Descriptor> = layers
            .iter()
            .map(|layer| {
                if !layer.descriptor.urls.is_empty() {
                    return layer.descriptor.clone();
                }
                let compression = layer.descriptor.media_type.layer_compression();
                let media_type = layer_type(is_oci, compression.unwrap_or(LayerCompression::Gzip));
                Descriptor::new(media_type, layer.descriptor.digest.clone(), layer.descriptor.size)
            })
            .collect();
        let fields = Fields {
            schema_version: 2,
            media_type: &media_type,
            config: &config,
            layers: layers.iter().collect(),
        };
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(
            &mut bytes,
            PrettyFormatter::with_indent(b"   "),
        );
        fields
            .serialize(&mut serializer)
            .map_err(|error| EngineError::Internal(Defect::Encode(error)))?;
        Ok(Self { digest: Digest::sha256(&bytes), bytes: bytes.into(), media_type, config })
    }

    /// Describes the manifest.
    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest.clone(), self.bytes.len() as u64)
    }
}

fn layer_type(is_oci: bool, compression: LayerCompression) -> MediaType {
    match (is_oci, compression) {
        (true, LayerCompression::None) => MediaType::OciLayer,
        (true, LayerCompression::Gzip) => MediaType::OciLayerGzip,
        (true, LayerCompression::Zstd) => MediaType::OciLayerZstd,
        (false, LayerCompression::None) => MediaType::DockerLayer,
        (false, LayerCompression::Gzip) => MediaType::DockerLayerGzip,
        (false, LayerCompression::Zstd) => MediaType::DockerLayerZstd,
    }
}

#[cfg(test)]
mod tests;
