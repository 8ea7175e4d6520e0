//! The manifest that is made of an image that came without one, or is not as it came any more.

use bytes::Bytes;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use spec::{Descriptor, Digest, LayerCompression, MediaType};

use crate::error::Defect;
use crate::{EngineError, Result};

/// A manifest as it goes to a registry.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) config: Descriptor,
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
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
    pub(crate) fn make(config: Digest, config_size: u64, layers: &[Descriptor]) -> Result<Self> {
        let is_oci = layers
            .iter()
            .any(|layer| layer.media_type.layer_compression() == Some(LayerCompression::Zstd));
        let (media_type, config_type) = if is_oci {
            (MediaType::OciManifest, MediaType::OciConfig)
        } else {
            (MediaType::DockerManifest, MediaType::DockerConfig)
        };
        let config = Descriptor::new(config_type, config, config_size);
        let layers: Vec<Descriptor> = layers
            .iter()
            .map(|layer| {
                if !layer.urls.is_empty() {
                    return layer.clone();
                }
                let compression = layer.media_type.layer_compression();
                let media_type = layer_type(is_oci, compression.unwrap_or(LayerCompression::Gzip));
                Descriptor::new(media_type, layer.digest.clone(), layer.size)
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
    pub(crate) fn descriptor(&self) -> Descriptor {
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
mod tests {
    use spec::Manifest;

    use super::*;

    #[test]
    fn a_made_manifest_is_valid_and_of_one_school() {
        for (layers, school, second) in [
            (vec![MediaType::OciLayerGzip], MediaType::DockerManifest, None),
            (
                vec![MediaType::OciLayerZstd, MediaType::DockerLayerGzip],
                MediaType::OciManifest,
                Some(MediaType::OciLayerGzip),
            ),
        ] {
            let blob = || Digest::sha256(b"blob");
            let layers: Vec<_> =
                layers.into_iter().map(|kind| Descriptor::new(kind, blob(), 4)).collect();
            let document = Document::make(Digest::sha256(b"config"), 6, &layers).unwrap();
            assert!(document.digest.matches(&document.bytes));
            let Manifest::Image(manifest) =
                Manifest::parse(Some(&school), &document.bytes).unwrap()
            else {
                panic!("no image");
            };
            assert_eq!(manifest.layers.len(), layers.len());
            assert_eq!(manifest.layers.get(1).map(|layer| layer.media_type.clone()), second);
        }
    }
}
