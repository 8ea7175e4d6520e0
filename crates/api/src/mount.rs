//! The document of Longshore's own route `GET /longshore/mounts`.

use serde::{Deserialize, Serialize};

/// An image that is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountedImage {
    /// The image ID, `sha256:…`.
    pub image: String,
    /// Directory that it is mounted on.
    pub directory: String,
}
