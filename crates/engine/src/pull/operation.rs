//! The state of a pull.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use policy::Guard;
use registry::{Caller, Credentials, RegistryError, Remote};
use spec::{Digest, Platform, Reference, Tag};
use store::Lease;
use tokio::sync::OnceCell;

use crate::error::PlatformMismatch;
use crate::lock::lock;
use crate::{Engine, EngineError, Progress};

/// An order to pull.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The image; a name only means the tag `latest`.
    pub reference: Reference,
    /// The tag that somebody means by a digest. Policies judge by both, and nobody else is told.
    pub meant: Option<Tag>,
    /// Every tag of the repository.
    pub all_tags: bool,
    /// For which platform, if not for this machine's.
    pub platform: Option<Platform>,
    /// Other parts of its index that are kept.
    pub parts: Parts,
    /// True if referrers of what is kept are kept, too.
    pub referrers: bool,
    /// For the registry that the reference names, and for no other host.
    pub credentials: Credentials,
    /// On whose behalf the registry is asked.
    pub caller: Caller,
}

/// The parts of an index that are kept beside the image that a name means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// The image alone.
    #[default]
    None,
    /// The images for these platforms.
    For(Vec<Platform>),
    /// All, those that are no images too.
    All,
}

/// A pull under way.
pub(super) struct Pull {
    pub(super) engine: Engine,
    pub(super) remote: Remote,
    pub(super) request: PullRequest,
    pub(super) progress: Progress,
    pub(super) lease: Arc<Lease>,
    pub(super) other_platforms: Mutex<Vec<PlatformMismatch>>,
    pub(super) configs: Configs,
    /// Asked before anything of an image is fetched; nobody where no setting wants it.
    pub(super) guard: Option<Guard>,
}

/// Configs on their way, so that tags that mean one image fetch it once.
#[derive(Debug, Default)]
pub(super) struct Configs(Mutex<HashMap<Digest, Arc<OnceCell<Bytes>>>>);

impl Configs {
    pub(super) fn cell(&self, digest: &Digest) -> Arc<OnceCell<Bytes>> {
        let mut cells = lock(&self.0);
        cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        Arc::clone(cells.entry(digest.clone()).or_default())
    }
}

/// Puts a registry's refusal into dockerd's words.
pub(super) fn refused(error: RegistryError, reference: &Reference) -> EngineError {
    let repository = reference.repository().familiar();
    let error = error.first_only();
    // As in dockerd, an error without a message of its own is shown as it is.
    let first = error.api_errors().first().filter(|first| first.detailed);
    match first.map(|first| first.code) {
        Some("DENIED") => EngineError::PullDenied { repository, source: error },
        Some("MANIFEST_UNKNOWN") => {
            EngineError::ManifestNotFound { reference: reference.familiar(), source: error }
        }
        Some("NAME_UNKNOWN") => EngineError::RepositoryNotFound { repository, source: error },
        _ => EngineError::Registry(error),
    }
}

/// Says whether a registry has no such manifest.
pub(super) fn is_gone(error: &EngineError) -> bool {
    match error {
        EngineError::ManifestNotFound { .. } | EngineError::RepositoryNotFound { .. } => true,
        EngineError::Registry(error) => error.is_not_found(),
        _ => false,
    }
}
