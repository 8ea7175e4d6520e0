//! An index as builders make it: with a manifest beside each image that says how it was built.

use bytes::Bytes;
use serde_json::json;
use spec::{DiffId, MediaType, Platform};

use super::{Blob, Compression, Format, Image, Index, Layer};

impl Index {
    /// Lists `images`, and then for each what attests it: a manifest for no platform, with a layer of a type that is no layer's.
    pub fn attested(images: Vec<Image>) -> Index {
        let attestations = images.iter().map(attestation).collect::<Vec<_>>();
        let attested = images.len();
        let all = images.into_iter().chain(attestations).collect();
        let index = Index::new(Format::Oci, all);
        let mut document = match &index.manifest.source {
            super::Source::Memory(bytes) => {
                serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}"))
            }
            super::Source::File(_) => json!({}),
        };
        for number in 0..attested {
            document["manifests"][attested + number]["annotations"] = json!({
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": index.images[number].manifest.digest.to_string(),
            });
        }
        Index { manifest: Blob::json(MediaType::OciIndex, &document), images: index.images }
    }
}

fn attestation(image: &Image) -> Image {
    let said = json!({ "subject": image.manifest.digest.to_string() }).to_string();
    let said = Blob::of("application/vnd.in-toto+json".into(), Bytes::from(said));
    let diff_id = DiffId::new(said.digest.clone());
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [diff_id.to_string()] },
    });
    let config = Blob::json(MediaType::OciConfig, &config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest,
        "config": config.descriptor(),
        "layers": [said.descriptor()],
    });
    let unknown = || "unknown".to_owned();
    Image {
        manifest: Blob::json(MediaType::OciManifest, &manifest),
        config,
        layers: vec![Layer {
            diff_id,
            tar_size: said.size,
            blob: said,
            compression: Compression::None,
        }],
        platform: Platform { os: unknown(), architecture: unknown(), ..Platform::default() },
    }
}
