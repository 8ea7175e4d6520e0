//! Faults of manifests of schema 1.

use crate::go::quoted;
use crate::{MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE};

/// The most layers, those that hold nothing included. Docker made no image with more than 127, and its registry converted histories of
/// some hundred steps.
pub(super) const MAX_STEPS: usize = 1000;

/// A fault of a manifest of schema 1, in dockerd's words where it has some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Schema1Error {
    /// Not JSON, or a field is missing or wrong.
    #[error("manifest of schema 1 is not valid: {0}")]
    Json(serde_json::Error),
    /// More bytes than [`MAX_MANIFEST_SIZE`].
    #[error("manifest of {0} bytes is larger than the {MAX_MANIFEST_SIZE} that are allowed")]
    TooLarge(u64),
    /// Another schema.
    #[error("unsupported schema version {version} for {}", quoted(.name))]
    SchemaVersion {
        /// The version that it says.
        version: u64,
        /// The image, familiar.
        name: String,
    },
    /// Another reader could take it for a manifest of schema 2.
    #[error("manifest is ambiguous: a manifest of schema 1 with the field `{0}` of schema 2")]
    Ambiguous(&'static str),
    /// Two lists that do not belong together.
    #[error("length of history not equal to number of layers for {}", quoted(.0))]
    Lengths(String),
    /// Nothing in it.
    #[error("no FSLayers in manifest for {}", quoted(.0))]
    NoLayers(String),
    /// More than are believed.
    #[error("manifest lists {0} layers, more than the {MAX_STEPS} that are allowed")]
    TooMany(usize),
    /// The document of a layer is not what Docker wrote.
    #[error("history of the manifest is not valid: {0}")]
    History(serde_json::Error),
    /// The document of a layer gives a time that is none.
    #[error("parsing time {}: it is not in the form of RFC 3339", quoted(.0))]
    Time(String),
    /// The config that is made is larger than what is read.
    #[error("image config of {0} bytes is larger than the {MAX_CONFIG_SIZE} that are allowed")]
    LargeConfig(usize),
    /// The document of the topmost layer says what only a config may.
    #[error("history of the manifest has fields that a config has for its layers")]
    Twofold,
    /// An ID is not 64 hexadecimal digits.
    #[error("image ID {} is invalid", quoted(.0))]
    Id(String),
    /// The lowest layer stands on another.
    #[error("invalid parent ID in the base layer of the image")]
    BaseParent,
    /// A layer is there twice, with others between.
    #[error("ID {0} appears multiple times in manifest")]
    Repeated(String),
    /// A layer stands on another than the next.
    #[error("invalid parent ID. Expected {expected}, got {actual}")]
    Parent {
        /// The ID of the next layer.
        expected: String,
        /// The ID that the layer says.
        actual: String,
    },
    /// The image's config has no history to make layers' documents of.
    #[error("empty history when trying to create schema1 manifest")]
    EmptyHistory,
    /// The image's config names another number of layers than it has.
    #[error("too many non-empty layers in History section")]
    HistoryMismatch,
    /// The image has layers that the history of its config does not tell of, for which a manifest of schema 1 has no place.
    #[error("history of the image's config has {own} layers, the image {layers}")]
    LayersWithoutHistory {
        /// Layers by the history.
        own: usize,
        /// Layers of the image.
        layers: usize,
    },
}
