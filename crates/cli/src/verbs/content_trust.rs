//! The flag of Docker Content Trust.

use crate::session::Session;

/// The flag of content trust.
#[derive(Debug, clap::Args)]
pub(super) struct ContentTrust {
    /// Skip image verification and signing (default true, unless DOCKER_CONTENT_TRUST is set)
    #[arg(long = "disable-content-trust")]
    disabled: Option<bool>,
}

impl ContentTrust {
    /// Says whether tags are to mean what is signed: the flag goes over `DOCKER_CONTENT_TRUST`.
    pub(super) fn is_wanted(&self, session: &Session) -> bool {
        self.disabled.map_or(session.environment.content_trust, |disabled| !disabled)
    }
}
