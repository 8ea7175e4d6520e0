//! Document of `GET /distribution/{name}/json`: a registry's word on a name.

use serde::{Deserialize, Serialize};
use spec::{Descriptor, Platform};

/// The answer of `GET /distribution/{name}/json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DistributionInspect {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// Platforms that it runs on; `null` where that is not said.
    pub platforms: Option<Vec<Platform>>,
}
