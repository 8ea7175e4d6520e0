//! The document of Longshore's own route `POST /longshore/prune`.

use serde::{Deserialize, Serialize};

use crate::image::ImageDeleted;

/// The images that went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PruneOutcome {
    /// True if nothing was removed.
    pub dry_run: bool,
    /// The images, in the order in which they go.
    pub images: Vec<PrunedImage>,
    /// Images that would go as well if they were not in use.
    pub in_use: Vec<ImageInUse>,
    /// Names and IDs that are gone, as `POST /images/prune` tells them; `null` for none.
    pub images_deleted: Option<Vec<ImageDeleted>>,
    /// Bytes of the partial downloads among it.
    pub partial_downloads: u64,
    /// Bytes of the disk that are free and were not: of layers, manifests, compressed layers and partial downloads.
    pub space_reclaimed: u64,
    /// Bytes that all that is left takes.
    pub space_left: u64,
}

/// An image that goes, or loses names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PrunedImage {
    /// Its ID, `sha256:…`.
    pub id: String,
    /// The names that it loses, familiar.
    pub names: Vec<String>,
    /// False if it only loses these names.
    pub deleted: bool,
    /// Time of its last use, RFC 3339.
    pub last_used: String,
    /// Bytes that are free without it and all before it.
    pub space_reclaimed: u64,
    /// The reasons, in words.
    pub reasons: Vec<String>,
}

/// An image that stays because it is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageInUse {
    /// Its ID, `sha256:…`.
    pub id: String,
    /// The names that it would have lost, familiar.
    pub names: Vec<String>,
    /// The user, in words.
    pub user: String,
}
