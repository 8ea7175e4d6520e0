//! `longshore manifest`: manifests of registries, and lists of them that are made here.

pub(crate) mod annotate;
pub(crate) mod create;
pub(crate) mod inspect;
mod json;
mod local;
pub(crate) mod push;
mod remote;
pub(crate) mod rm;

use self::remote::{fetch, undaemoned};
use crate::error::CliError;
use crate::session::Session;

/// The verbs of `longshore manifest`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ManifestVerb {
    Annotate(annotate::Arguments),
    Create(create::Arguments),
    Inspect(inspect::Arguments),
    Push(push::Arguments),
    Rm(rm::Arguments),
}

/// Does what a verb asks for.
pub(crate) async fn run(verb: ManifestVerb, session: &Session) -> Result<(), CliError> {
    match verb {
        ManifestVerb::Annotate(arguments) => annotate::run(arguments, session),
        ManifestVerb::Create(arguments) => create::run(arguments, session).await,
        ManifestVerb::Inspect(arguments) => inspect::run(arguments, session).await,
        ManifestVerb::Push(arguments) => push::run(arguments, session).await,
        ManifestVerb::Rm(arguments) => rm::run(&arguments, session),
    }
}
