//! What a search finds.

use serde::{Deserialize, Serialize};

/// A repository of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    /// How many people like it.
    pub star_count: i64,
    /// Whether it is one of Docker's own.
    pub is_official: bool,
    /// Its name.
    pub name: String,
    /// Always false: there are none any more.
    pub is_automated: bool,
    /// What it is.
    pub description: String,
}
