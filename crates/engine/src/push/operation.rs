//! The state of a push.

use std::sync::Arc;

use registry::{Caller, Credentials, RegistryError, Remote};
use spec::{Descriptor, Platform, Repository, Tag};
use store::{HmacKey, Lease};

use crate::{Engine, EngineError, Progress};

/// An order to push.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The name to push to, at its registry.
    pub repository: Repository,
    /// The tag; all tags of the repository without one.
    pub tag: Option<Tag>,
    /// The platform that the image must be for.
    pub platform: Option<Platform>,
    /// True if referrers of the image go along, as far as they are here.
    pub referrers: bool,
    /// For the registry that the repository names, and for no other host.
    pub credentials: Credentials,
    /// On whose behalf the registry is asked.
    pub caller: Caller,
}

/// A push under way.
pub(super) struct Push {
    pub(super) engine: Engine,
    pub(super) remote: Remote,
    /// Set if a registry that does not know schema 2 may get a manifest of schema 1.
    pub(super) allows_first_schema: bool,
    /// Set if layers that are not to be redistributed may go to the registry.
    pub(super) takes_foreign_layers: bool,
    pub(super) request: PushRequest,
    pub(super) key: HmacKey,
    pub(super) lease: Arc<Lease>,
    pub(super) progress: Progress,
}

impl Push {
    /// Says whether a layer is left to the URLs that its manifest gives.
    pub(super) fn leaves(&self, layer: &Descriptor) -> bool {
        !self.takes_foreign_layers && !layer.urls.is_empty()
    }
}

/// Puts a registry's refusal into dockerd's words.
pub(super) fn refused(error: RegistryError) -> EngineError {
    if error.lacks_credentials() {
        return EngineError::NoCredentials;
    }
    // As in dockerd, what the token server says is told without the request, and the first error without the others.
    EngineError::Registry(error.without_request().first_only())
}
