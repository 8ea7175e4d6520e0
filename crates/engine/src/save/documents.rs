//! The documents of an archive, in dockerd's words and order of fields.

use std::collections::BTreeMap;

use serde::Serialize;
use spec::{Descriptor, Digest, ImageId, MediaType};

/// The name of an image in an index, canonical with its tag.
pub(crate) const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// Its tag alone, or with other tools its name.
pub(crate) const REF_NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
/// The references by digest of an image, canonical, with commas between.
pub(crate) const REPO_DIGESTS_ANNOTATION: &str = "dev.longshore.image.repo-digests";

/// The mark of an OCI image layout.
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion": "1.0.0"}"#;

/// An image in `manifest.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    pub(super) config: String,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<ImageId>,
    /// By diff ID: what the file of the layer is.
    pub(super) layer_sources: BTreeMap<String, LayerSource>,
}

/// A descriptor, with its fields in the order of an older specification.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayerSource {
    media_type: MediaType,
    size: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl From<Descriptor> for LayerSource {
    fn from(descriptor: Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type,
            size: descriptor.size,
            digest: descriptor.digest,
            urls: descriptor.urls,
            annotations: descriptor.annotations,
        }
    }
}

/// The manifest of an image that has none of its own.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GeneratedManifest {
    schema_version: u32,
    media_type: MediaType,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl GeneratedManifest {
    pub(super) fn new(id: &ImageId, config_size: u64, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: MediaType::OciManifest,
            config: Descriptor::new(MediaType::OciConfig, id.digest().clone(), config_size),
            layers,
        }
    }
}

/// `index.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexFile {
    schema_version: u32,
    media_type: MediaType,
    /// `null` in an archive of nothing, as Go writes a list that was never made.
    manifests: Option<Vec<Descriptor>>,
}

impl IndexFile {
    pub(super) fn new(manifests: Vec<Descriptor>) -> Self {
        let manifests = Some(manifests).filter(|manifests| !manifests.is_empty());
        Self { schema_version: 2, media_type: MediaType::OciIndex, manifests }
    }
}

/// Returns where a blob is in an archive.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// Returns the digest of the blob that is there.
pub(crate) fn named_digest(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}
