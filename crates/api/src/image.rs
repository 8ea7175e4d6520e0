//! The documents of the image routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spec::{Descriptor, Platform};

use crate::identity::Identity;
use crate::wire::{minus_one, null_as_default, shared};

/// The time that Go prints for "never": what `Metadata.LastTagTime` of an image without a local tag holds.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// One image of `GET /images/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageSummary {
    /// Containers that use the image; `None` (`-1`) where that was not counted.
    #[serde(with = "minus_one")]
    pub containers: Option<u64>,
    /// Time of the build, in Unix seconds; 0 where its config does not say.
    pub created: i64,
    /// The image ID, `sha256:…`.
    pub id: String,
    /// The labels of the image's config; `null` where it has none.
    #[serde(with = "shared")]
    pub labels: Option<Arc<BTreeMap<String, String>>>,
    /// The ID of the image that this one was built on here, or empty.
    pub parent_id: String,
    /// The manifests that the image's names lead to, for clients that ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<ManifestSummary>>,
    /// `NAME@DIGEST` of the manifests under which the image is known. API < 1.43 prints `<none>@<none>` for an image
    /// without tag and digest.
    #[serde(deserialize_with = "null_as_default")]
    pub repo_digests: Vec<String>,
    /// `NAME:TAG` of the image. API < 1.43 prints `<none>:<none>` for an image without tag and digest.
    #[serde(deserialize_with = "null_as_default")]
    pub repo_tags: Vec<String>,
    /// Bytes that other images share; `None` (`-1`) where the client did not ask.
    #[serde(with = "minus_one")]
    pub shared_size: Option<u64>,
    /// The bytes of all layers, unpacked.
    pub size: u64,
    /// The same as `size`, up to API 1.43.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
}

/// A manifest in `Manifests` of `GET /images/json?manifests=1` and `GET /images/{name}/json?manifests=1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestSummary {
    /// About what it says something of, if it is an attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation_data: Option<ManifestAttestation>,
    /// True if all that it mentions is here.
    pub available: bool,
    /// The manifest.
    pub descriptor: Descriptor,
    /// The digest of the manifest.
    #[serde(rename = "ID")]
    pub id: String,
    /// About the image, if it is the manifest of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_data: Option<ManifestImage>,
    /// `image`, `attestation` or `unknown`.
    pub kind: String,
    /// Size on the disk.
    pub size: ManifestSize,
}

/// Size of a manifest on the disk, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestSize {
    /// The manifest and the blobs that are kept.
    pub content: u64,
    /// These and the unpacked layers.
    pub total: u64,
}

/// Config of the image that a manifest describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestImage {
    /// The containers that use it.
    pub containers: Vec<String>,
    /// Platform that it runs on.
    pub platform: Platform,
    /// Size unpacked.
    pub size: UnpackedSize,
}

/// The manifest that an attestation is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestAttestation {
    /// Its digest.
    #[serde(rename = "For")]
    pub subject: String,
}

/// Size of an unpacked image, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnpackedSize {
    /// Its layers.
    pub unpacked: u64,
}

impl ImageSummary {
    /// Returns the document with `null` for no tags and for no digests, where dockerd writes it so: in lists for API < 1.43, and
    /// in what takes space.
    pub fn with_null_names(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut document = serde_json::to_value(self)?;
        for names in ["RepoDigests", "RepoTags"] {
            if document[names].as_array().is_some_and(Vec::is_empty) {
                document[names] = serde_json::Value::Null;
            }
        }
        Ok(document)
    }
}

/// `GET /images/{name}/json`.
///
/// The fields that are an `Option` here and not in [`ImageSummary`] are left out of the JSON when `None`, because
/// newer versions of the API leave out what older ones printed empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageInspect {
    /// The CPU architecture.
    pub architecture: String,
    /// Maker of the image. Always printed up to API 1.51, later only where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The message of the commit or import. Printed as `author` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Settings of containers of this image, an object.
    pub config: Option<serde_json::Value>,
    /// Always empty, up to API 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Always empty, up to API 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<serde_json::Value>,
    /// Time of the build, RFC 3339; left out where its config does not say (up to API 1.43: [`ZERO_TIME`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The manifest, if what is told is not the image of that name, but another one of its index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// The version of the Docker that built the image. Printed as `author` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_version: Option<String>,
    /// Directories of the unpacked image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<GraphDriver>,
    /// The image ID, `sha256:…`.
    pub id: String,
    /// The ones who vouch for it; left out where nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The manifests that the image's names lead to, for clients that ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<ManifestSummary>>,
    /// Facts that only this daemon knows of the image.
    pub metadata: Metadata,
    /// The operating system.
    pub os: String,
    /// The version of the operating system that the image needs (Windows).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The ID of the image that this one was built on here. Printed as `author` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `NAME@DIGEST` of the manifests under which the image is known.
    #[serde(deserialize_with = "null_as_default")]
    pub repo_digests: Vec<String>,
    /// `NAME:TAG` of the image.
    #[serde(deserialize_with = "null_as_default")]
    pub repo_tags: Vec<String>,
    /// The layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// The bytes of all layers, unpacked.
    pub size: u64,
    /// The variant of the CPU architecture, such as `v7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The same as `size`, up to API 1.43.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
}

/// The storage driver's view of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GraphDriver {
    /// The directories of the top layer, by the driver's names for them; `null` where the driver has none.
    pub data: Option<BTreeMap<String, String>>,
    /// The driver's name.
    pub name: String,
}

/// Facts that a daemon knows of an image and that are not in the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Metadata {
    /// Time when a tag was last set here, RFC 3339; [`ZERO_TIME`] for never.
    #[serde(deserialize_with = "null_as_default")]
    pub last_tag_time: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Self { last_tag_time: ZERO_TIME.to_owned() }
    }
}

/// The layers of an image, lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RootFs {
    /// The diff IDs.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// Always `layers`.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// One step of `GET /images/{name}/history`, the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HistoryItem {
    /// A note.
    pub comment: String,
    /// Time of the step, in Unix seconds; 0 where the image does not say.
    pub created: i64,
    /// The command.
    pub created_by: String,
    /// The ID of the image after this step, or `<missing>`.
    pub id: String,
    /// The bytes that the step added, unpacked.
    pub size: i64,
    /// `NAME:TAG` of the image after this step; `null` without any.
    pub tags: Option<Vec<String>>,
}

/// One line of the answer of `DELETE /images/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageDeleted {
    /// A reference that is gone: `NAME:TAG` or `NAME@DIGEST`.
    Untagged(String),
    /// An image or layer that is gone, by its digest.
    Deleted(String),
}

/// `POST /images/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PruneReport {
    /// Names and IDs that are gone; `null` for none.
    pub images_deleted: Option<Vec<ImageDeleted>>,
    /// Bytes that are free and were not.
    pub space_reclaimed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As dockerd 29.7 printed it at API 1.50.
    const SUMMARY: &str = concat!(
        r#"{"Containers":-1,"Created":1700000000,"Id":"sha256:2de1","Labels":null,"ParentId":"","#,
        r#""RepoDigests":["nginx@sha256:b77d"],"RepoTags":["nginx:latest"],"SharedSize":-1,"Size":2665277}"#,
    );

    /// As dockerd 29.7 printed it at API 1.50, digests and directories cut.
    const INSPECT: &str = concat!(
        r#"{"Architecture":"amd64","Author":"","Comment":"","Config":{"Cmd":["nginx"],"Entrypoint":null},"#,
        r#""Created":"2023-11-14T22:13:20Z","DockerVersion":"","GraphDriver":{"Data":{"LowerDir":"/l"},"#,
        r#""Name":"overlay2"},"Id":"sha256:2de1","Metadata":{"LastTagTime":"0001-01-01T00:00:00Z"},"Os":"linux","#,
        r#""Parent":"","RepoDigests":["nginx@sha256:b77d"],"RepoTags":["nginx:latest"],"RootFS":{"Layers":["#,
        r#""sha256:85ad","sha256:ae84"],"Type":"layers"},"Size":2665277}"#,
    );

    #[test]
    fn recorded_documents_round_trip_byte_for_byte() {
        let summary: ImageSummary = serde_json::from_str(SUMMARY).unwrap();
        assert_eq!((summary.containers, summary.shared_size), (None, None));
        assert_eq!(serde_json::to_string(&summary).unwrap(), SUMMARY);

        let inspect: ImageInspect = serde_json::from_str(INSPECT).unwrap();
        assert_eq!(inspect.author.as_deref(), Some(""));
        assert_eq!(serde_json::to_string(&inspect).unwrap(), INSPECT);

        let deleted = r#"[{"Untagged":"alpine:3.3"},{"Deleted":"sha256:60db"}]"#;
        let lines: Vec<ImageDeleted> = serde_json::from_str(deleted).unwrap();
        assert_eq!(serde_json::to_string(&lines).unwrap(), deleted);
    }

    #[test]
    fn what_other_daemons_print_is_read_too() {
        let summary = r#"{"Id":"sha256:1","RepoTags":null,"RepoDigests":null,"SharedSize":7,"Descriptor":{},"Size":3}"#;
        let summary: ImageSummary = serde_json::from_str(summary).unwrap();
        assert!(
            summary.repo_tags.is_empty() && summary.shared_size == Some(7) && summary.size == 3
        );

        let inspect = r#"{"Id":"sha256:1","RepoTags":null,"RootFS":{"Type":"layers","Layers":null},"Config":null}"#;
        let inspect: ImageInspect = serde_json::from_str(inspect).unwrap();
        assert!(inspect.graph_driver.is_none() && inspect.root_fs.layers.is_empty());
        assert_eq!(inspect.metadata.last_tag_time, ZERO_TIME);
    }
}
