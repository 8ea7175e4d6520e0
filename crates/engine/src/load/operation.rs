//! The state of a load.

use std::sync::Arc;

use store::Lease;

use crate::{Engine, Platforms, Progress};

/// A load under way.
pub(super) struct Load<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: Arc<Lease>,
    pub(super) platforms: Platforms,
    pub(super) progress: Progress,
    /// The end that layers report to.
    pub(super) layer_progress: Progress,
}
