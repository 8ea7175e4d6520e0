//! The state of a load.

use std::sync::Arc;

use spec::Platform;
use store::Lease;

use crate::{Engine, Progress};

/// A load under way.
pub(super) struct Load<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: Arc<Lease>,
    pub(super) platform: Option<Platform>,
    pub(super) progress: Progress,
    /// The end that layers report to.
    pub(super) layer_progress: Progress,
}
