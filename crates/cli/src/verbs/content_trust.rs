//! Docker Content Trust: signatures that pull and push are asked for, and that are not known here.

use crate::error::CliError;
use crate::session::Session;

/// The operation that content trust would be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Signatures would be verified.
    Pull,
    /// Signatures would be made.
    Push,
}

/// The flag of content trust.
#[derive(Debug, clap::Args)]
pub(super) struct ContentTrust {
    /// Skip image verification and signing (default true, unless DOCKER_CONTENT_TRUST is set): with =false a pull or push is
    /// refused, as there is no content trust
    #[arg(long = "disable-content-trust")]
    disabled: Option<bool>,
}

impl ContentTrust {
    /// Refuses what is asked for with content trust, by `--disable-content-trust=false` or by `DOCKER_CONTENT_TRUST`, over
    /// which the flag goes.
    pub(super) fn refuse(&self, session: &Session, doing: Doing) -> Result<(), CliError> {
        let by = match self.disabled {
            Some(false) => "--disable-content-trust=false",
            None if session.environment.content_trust => "DOCKER_CONTENT_TRUST",
            Some(true) | None => return Ok(()),
        };
        let (cannot, instead) = match doing {
            Doing::Pull => ("verified", "pull by digest, or use --disable-content-trust"),
            Doing::Push => ("made", "use --disable-content-trust"),
        };
        Err(CliError::Refused(format!(
            "{by} asks for content trust, whose signatures cannot be {cannot} here: {instead}"
        )))
    }
}
