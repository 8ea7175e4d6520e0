//! Document of `GET /images/search`.

use serde::{Deserialize, Serialize};

/// A repository of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    /// Number of people who like it.
    pub star_count: i64,
    /// True if it is one of Docker's own.
    pub is_official: bool,
    /// Repository as a user writes it.
    pub name: String,
    /// Always false: there are none any more.
    pub is_automated: bool,
    /// Text of its owner about it.
    pub description: String,
}
