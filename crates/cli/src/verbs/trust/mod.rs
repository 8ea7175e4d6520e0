//! `longshore trust`: signatures of images, by Docker Content Trust.

pub(crate) mod inspect;
pub(crate) mod key;
mod natural;
mod notary;
mod passphrases;
pub(crate) mod revoke;
pub(crate) mod sign;
pub(crate) mod signer;
mod signing;

pub(in crate::verbs) use self::notary::{Actions, Notary};
pub(in crate::verbs) use self::signing::{Signing, sign_pushed};

use crate::error::CliError;
use crate::session::Session;

/// The verbs of `longshore trust`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TrustVerb {
    Inspect(inspect::Arguments),
    /// Manage keys for signing Docker images
    #[command(
        subcommand,
        override_usage = "longshore trust key COMMAND",
        disable_help_subcommand = true
    )]
    Key(key::KeyVerb),
    Revoke(revoke::Arguments),
    Sign(sign::Arguments),
    /// Manage entities who can sign Docker images
    #[command(
        subcommand,
        override_usage = "longshore trust signer COMMAND",
        disable_help_subcommand = true
    )]
    Signer(signer::SignerVerb),
}

impl TrustVerb {
    /// Says whether the verb is about an image that is kept.
    pub(crate) fn needs_store(&self) -> bool {
        matches!(self, TrustVerb::Sign(_))
    }
}

/// Does what a verb asks for.
pub(crate) async fn run(verb: TrustVerb, session: &Session) -> Result<(), CliError> {
    match verb {
        TrustVerb::Inspect(arguments) => inspect::run(&arguments, session).await,
        TrustVerb::Key(verb) => key::run(verb, session).await,
        TrustVerb::Revoke(arguments) => revoke::run(arguments, session).await,
        TrustVerb::Sign(arguments) => Box::pin(sign::run(arguments, session)).await,
        TrustVerb::Signer(verb) => signer::run(verb, session).await,
    }
}
