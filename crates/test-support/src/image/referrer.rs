//! Manifests that say something of an image beside it: a signature, a list of what is in it.

use bytes::Bytes;
use serde_json::json;
use spec::MediaType;

use super::Blob;

/// A manifest that refers to another.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// The manifest that refers to the other.
    pub manifest: Blob,
    /// The blobs that it mentions.
    pub blobs: [Blob; 2],
    /// The index that lists it where a registry does not list referrers, and its tag.
    pub fallback: (String, Blob),
}

impl Referrer {
    /// Says `content`, of this type, of `subject`.
    pub fn new(artifact_type: &str, content: impl Into<Bytes>, subject: &Blob) -> Referrer {
        let empty = Blob::of("application/vnd.oci.empty.v1+json".into(), Bytes::from("{}"));
        let content = Blob::of(artifact_type.into(), content.into());
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest,
            "artifactType": artifact_type,
            "config": empty.descriptor(),
            "layers": [content.descriptor()],
            "subject": subject.descriptor(),
        });
        let manifest = Blob::json(MediaType::OciManifest, &document);
        let mut entry = manifest.descriptor();
        entry["artifactType"] = json!(artifact_type);
        let index = json!({
            "schemaVersion": 2, "mediaType": MediaType::OciIndex, "manifests": [entry],
        });
        let tag = format!("{}-{}", subject.digest.algorithm(), subject.digest.hex());
        let fallback = (tag, Blob::json(MediaType::OciIndex, &index));
        Referrer { manifest, blobs: [empty, content], fallback }
    }
}
