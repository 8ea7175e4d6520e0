//! Synthetic images, made in memory or on disk, pushed to a registry or written as an OCI layout.

mod attested;
mod blob;
mod layer;
mod layout;
mod push;
mod referrer;
mod signature;
mod signed;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use spec::{DiffId, ImageId, MediaType, Platform};

pub use blob::{Blob, Format, Source};
pub use layer::{Compression, Layer, LayerWriter};
pub use referrer::Referrer;
pub use signature::Signature;
pub use signed::{SIGNED, Signer, with_signatures};

/// An image for one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its manifest, as it is pushed.
    pub manifest: Blob,
    /// Its config, whose digest is the image's ID.
    pub config: Blob,
    /// The layers, the bottom one first.
    pub layers: Vec<Layer>,
    platform: Platform,
}

impl Image {
    /// Begins an image without layers, for this machine's platform, with Docker's media types.
    pub fn builder() -> ImageBuilder {
        ImageBuilder {
            format: Format::default(),
            platform: Platform::host(),
            layers: Vec::new(),
            labels: BTreeMap::new(),
            config: serde_json::Map::new(),
            created: "2024-01-01T00:00:00Z".to_owned(),
            document: None,
        }
    }

    /// Returns the image's ID: the digest of its config.
    pub fn id(&self) -> ImageId {
        ImageId::new(self.config.digest.clone())
    }

    /// Returns the diff IDs of the layers.
    pub fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id.clone()).collect()
    }

    /// Returns config and layers: what a registry must have before the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().map(|layer| &layer.blob).chain([&self.config])
    }
}

/// Puts an [`Image`] together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ImageBuilder {
    format: Format,
    platform: Platform,
    layers: Vec<Layer>,
    labels: BTreeMap<String, String>,
    config: serde_json::Map<String, Value>,
    created: String,
    document: Option<Value>,
}

impl ImageBuilder {
    /// Sets whose media types the image has.
    pub fn format(mut self, format: Format) -> ImageBuilder {
        self.format = format;
        self
    }

    /// Sets the platform.
    pub fn platform(mut self, platform: Platform) -> ImageBuilder {
        self.platform = platform;
        self
    }

    /// Sets the architecture alone, in Go's word for it.
    pub fn architecture(mut self, architecture: &str) -> ImageBuilder {
        architecture.clone_into(&mut self.platform.architecture);
        self.platform.variant = None;
        self
    }

    /// Adds a layer on top.
    pub fn layer(mut self, layer: Layer) -> ImageBuilder {
        self.layers.push(layer);
        self
    }

    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> ImageBuilder {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a member of what a container would be made with, for example `User`.
    pub fn config(mut self, key: &str, value: Value) -> ImageBuilder {
        self.config.insert(key.to_owned(), value);
        self
    }

    /// Sets the time of creation, as RFC 3339 has it.
    pub fn created(mut self, created: &str) -> ImageBuilder {
        created.clone_into(&mut self.created);
        self
    }

    /// Sets the whole config, but for the diff IDs: history, creation and platform are what it says.
    pub fn document(mut self, document: Value) -> ImageBuilder {
        self.document = Some(document);
        self
    }

    /// Writes config and manifest.
    pub fn build(self) -> Image {
        let history: Vec<Value> = (1..=self.layers.len())
            .map(|number| json!({ "created": self.created, "created_by": format!("layer {number}") }))
            .collect();
        let diff_ids: Vec<String> =
            self.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let mut config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "created": self.created,
            "config": { "Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"], "Labels": self.labels },
            "history": history,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        for (key, value) in self.config {
            config["config"][key] = value;
        }
        if let Some(variant) = &self.platform.variant {
            config["variant"] = json!(variant);
        }
        if let Some(given) = self.document {
            let rootfs = config["rootfs"].take();
            config = given;
            config["rootfs"] = rootfs;
        }
        let (manifest_type, config_type) = match self.format {
            Format::Docker => (MediaType::DockerManifest, MediaType::DockerConfig),
            Format::Oci => (MediaType::OciManifest, MediaType::OciConfig),
        };
        let layers: Vec<Layer> = self
            .layers
            .into_iter()
            .map(|mut layer| {
                layer.blob.media_type = layer.compression.media_type(self.format);
                layer
            })
            .collect();
        let config = Blob::json(config_type, &config);
        let manifest = match self.format {
            Format::Docker => docker_manifest(manifest_type, &config, &layers),
            Format::Oci => Blob::json(
                manifest_type.clone(),
                &json!({
                    "schemaVersion": 2,
                    "mediaType": manifest_type.as_str(),
                    "config": config.descriptor(),
                    "layers":
                        layers.iter().map(|layer| layer.blob.descriptor()).collect::<Vec<_>>(),
                }),
            ),
        };
        Image { manifest, config, layers, platform: self.platform }
    }
}

/// A manifest byte for byte as dockerd writes it, so that one that it makes anew is the same.
fn docker_manifest(media_type: MediaType, config: &Blob, layers: &[Layer]) -> Blob {
    let descriptor = |blob: &Blob, indent: &str| {
        format!(
            "{{\n{indent}   \"mediaType\": \"{}\",\n{indent}   \"size\": {},\n{indent}   \"digest\": \"{}\"\n{indent}}}",
            blob.media_type.as_str(),
            blob.size,
            blob.digest
        )
    };
    let layers: Vec<String> = layers
        .iter()
        .map(|layer| format!("\n      {}", descriptor(&layer.blob, "      ")))
        .collect();
    let end = if layers.is_empty() { "" } else { "\n   " };
    let document = format!(
        "{{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"{}\",\n   \"config\": {},\n   \"layers\": [{}{end}]\n}}",
        media_type.as_str(),
        descriptor(config, "   "),
        layers.join(","),
    );
    Blob::of(media_type, Bytes::from(document))
}

/// Images of several platforms under one name.
#[derive(Clone, Debug)]
pub struct Index {
    /// The manifest list or image index.
    pub manifest: Blob,
    /// Images of the platforms.
    pub images: Vec<Image>,
}

impl Index {
    /// Lists `images`, in this order.
    pub fn new(format: Format, images: Vec<Image>) -> Index {
        let media_type = match format {
            Format::Docker => MediaType::DockerManifestList,
            Format::Oci => MediaType::OciIndex,
        };
        let manifests: Vec<Value> = images
            .iter()
            .map(|image| {
                let mut descriptor = image.manifest.descriptor();
                let platform = &image.platform;
                descriptor["platform"] =
                    json!({ "architecture": platform.architecture, "os": platform.os });
                if let Some(variant) = &platform.variant {
                    descriptor["platform"]["variant"] = json!(variant);
                }
                descriptor
            })
            .collect();
        let document = json!({
            "schemaVersion": 2,
            "mediaType": media_type.as_str(),
            "manifests": manifests,
        });
        Index { manifest: Blob::json(media_type, &document), images }
    }

    /// Makes it refer to another manifest.
    #[must_use]
    pub fn referring_to(self, subject: &Blob) -> Index {
        let mut document: Value =
            serde_json::from_slice(&self.manifest.read().expect("it is in memory"))
                .expect("it was made of JSON");
        document["subject"] = subject.descriptor();
        Index { manifest: Blob::json(self.manifest.media_type, &document), ..self }
    }
}
