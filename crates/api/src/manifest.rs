//! `GET /longshore/manifest/inspect`, a route of Longshore's own.

use serde::{Deserialize, Serialize};
use spec::Descriptor;

/// Manifests that a name leads to at its registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestInspect {
    /// True if the name is that of an index, which lists the manifests.
    pub is_list: bool,
    /// The manifest, or those that are listed.
    pub manifests: Vec<FoundManifest>,
}

/// A manifest of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FoundManifest {
    /// Its name, canonical.
    pub reference: String,
    /// Descriptor, with its platform.
    pub descriptor: Descriptor,
    /// Its bytes, which are a JSON document.
    pub raw: String,
}
