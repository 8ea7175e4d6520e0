//! Content of registries, and changes there: routes of Longshore's own.
//!
//! | route | answer |
//! |---|---|
//! | `GET /longshore/registry/catalog?registry=…` | [`Catalog`] |
//! | `GET /longshore/registry/tags?name=…&enough=…` | [`Tags`]: all, or those of the first pages until there are enough |
//! | `GET /longshore/registry/digest?name=…&platform=…` | [`Found`] |
//! | `GET /longshore/registry/inspect?name=…&platform=…` | [`Inspection`] |
//! | `GET /longshore/registry/document?name=…&platform=…&config=1` | the bytes of a manifest, or of a config |
//! | `GET /longshore/registry/referrers?name=…&platform=…&artifactType=…` | [`Referrers`] |
//! | `POST /longshore/registry/verify?name=…&platform=…`, with a [`VerificationRequest`] or nothing | [`Verification`] |
//! | `POST /longshore/registry/tag?name=…&platform=…&tag=…` | [`Found`] |
//! | `DELETE /longshore/registry/manifest?name=…` | [`Removal`] |
//! | `POST /longshore/manifest/push`, with a [`ListPush`] | [`ListPushed`] |
//!
//! A platform is as users write it: `linux/arm64`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::registry::Found;
pub use crate::verification::{Verification, VerificationRequest};

/// Repositories of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Catalog {
    /// Their names, familiar and sorted.
    pub repositories: Vec<String>,
}

/// Tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tags {
    /// The repository, familiar.
    pub name: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
}

/// The meaning of a name at its registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspection {
    /// The name, familiar, with its tag.
    pub name: String,
    /// Address of the endpoint that says so.
    pub source: String,
    /// Hash of the manifest's or index's bytes.
    pub digest: String,
    /// The type.
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
    /// Kind of its content, of an artifact.
    pub artifact_type: String,
    /// Digest of the manifest that it refers to.
    pub subject: String,
    /// Notes in it, by their keys.
    pub annotations: BTreeMap<String, String>,
    /// The manifests that it lists, of an index.
    pub manifests: Vec<Listed>,
    /// The image: it, or the one of the index for the platform that was asked for or for the daemon's machine.
    pub image: Option<Image>,
    /// Pulls that the registry still allows, if it says so.
    pub pull_limit: Option<PullLimit>,
}

/// An entry of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Listed {
    /// Hash of the manifest's bytes.
    pub digest: String,
    /// The type.
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
    /// The platform, as users write it; empty if there is none.
    pub platform: String,
    /// Kind of its content, of an artifact.
    pub artifact_type: String,
    /// Notes of the index on it.
    pub annotations: BTreeMap<String, String>,
    /// Bytes of the image's blobs, as far as they are known.
    pub image_size: Option<u64>,
}

/// An image at a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Image {
    /// Hash of the manifest's bytes.
    pub digest: String,
    /// The platform, as users write it.
    pub platform: String,
    /// Digest of the config: the image's ID.
    pub config: String,
    /// Time of creation, RFC 3339.
    pub created: String,
    /// Name and address of the maker.
    pub author: String,
    /// Bytes of all blobs.
    pub size: u64,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The layers, the bottom one first.
    pub layers: Vec<Found>,
}

/// The pulls that a registry allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PullLimit {
    /// All of a window.
    pub limit: Option<u64>,
    /// Those that are left.
    pub remaining: Option<u64>,
    /// The window's seconds.
    pub window: Option<u64>,
    /// Owner of the pulls that are counted.
    pub source: Option<String>,
}

/// The referrers of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Referrers {
    /// Digest of the manifest.
    pub subject: String,
    /// The referrers, sorted by type and digest.
    pub referrers: Vec<Referrer>,
}

/// A manifest that refers to another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Referrer {
    /// Hash of its bytes.
    pub digest: String,
    /// The type.
    pub media_type: String,
    /// Kind of its content.
    pub artifact_type: String,
    /// Its bytes.
    pub size: u64,
    /// Keeper of the list that it is in: `registry`, `tag` where clients keep the list, or `cosign`.
    pub listed_by: String,
    /// The tag that it has, where that is how it is found.
    pub tag: String,
    /// Notes in it, by their keys.
    pub annotations: BTreeMap<String, String>,
}

/// The outcome of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Removal {
    /// The tag alone, with its repository.
    pub untagged: Option<String>,
    /// The manifest, with its repository.
    pub deleted: Option<String>,
    /// True if the registry deletes no tags, so that the tag was moved to an empty image, and that was deleted.
    pub stood_in: bool,
}

/// A list of manifests to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListPush {
    /// The list's name.
    pub name: String,
    /// The list's type.
    pub media_type: String,
    /// The document as it is sent.
    pub list: String,
    /// The manifests of other repositories of the registry that it lists.
    pub images: Vec<ListedImage>,
}

/// A manifest in another repository than the list's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedImage {
    /// The place that has it.
    pub repository: String,
    /// Its type.
    pub media_type: String,
    /// Hash of its bytes.
    pub digest: String,
    /// Its bytes, which are a JSON document.
    pub raw: String,
}

/// A list that was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListPushed {
    /// Hash of the list's bytes.
    pub digest: String,
}
