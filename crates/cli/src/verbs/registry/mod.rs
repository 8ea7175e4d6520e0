//! `longshore registry`: a small registry, and what is asked of registries and changed there without an image here.

pub(crate) mod check;
pub(crate) mod digest;
pub(crate) mod inspect;
pub(crate) mod ls;
mod question;
pub(crate) mod referrers;
pub(crate) mod rm;
pub(crate) mod serve;
mod summary;
pub(crate) mod tag;
pub(crate) mod tags;

use std::net::SocketAddr;
use std::path::PathBuf;

pub(in crate::verbs) use self::question::{Question, formatted};
use crate::error::CliError;
use crate::hints::Subject;
use crate::session::Session;

/// Ask registries what they have, change it there, or run a small one
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "longshore registry COMMAND",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Option<RegistryVerb>,
    #[command(flatten)]
    unnamed: UnnamedArguments,
}

/// The verbs of `longshore registry`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RegistryVerb {
    Ls(ls::Arguments),
    Tags(tags::Arguments),
    Inspect(inspect::Arguments),
    Digest(digest::Arguments),
    Tag(tag::Arguments),
    #[command(alias = "remove")]
    Rm(rm::Arguments),
    Referrers(referrers::Arguments),
    #[command(override_usage = "longshore registry check [OPTIONS] NAME")]
    Check(check::Arguments),
    Serve(serve::Arguments),
}

// `longshore registry --root DIRECTORY`, the form that `serve` had before it had its name.
#[derive(Debug, clap::Args)]
struct UnnamedArguments {
    #[arg(long, hide = true, value_name = "address")]
    listen: Option<SocketAddr>,
    #[arg(long, hide = true, value_name = "directory")]
    root: Option<PathBuf>,
}

impl Arguments {
    /// Returns what a registry is to be served with, if one is.
    pub(crate) fn serves(&self) -> Option<serve::Arguments> {
        match (&self.verb, &self.unnamed) {
            (Some(RegistryVerb::Serve(arguments)), _) => Some(arguments.clone()),
            (None, UnnamedArguments { listen, root: Some(root) }) => {
                Some(serve::Arguments::new(*listen, root.clone()))
            }
            _ => None,
        }
    }

    /// Returns what is asked about, for hints.
    pub(crate) fn subject(&self) -> Subject {
        match &self.verb {
            Some(RegistryVerb::Ls(arguments)) => Subject::registry(Some(&arguments.host)),
            Some(RegistryVerb::Tags(arguments)) => Subject::image(&arguments.name),
            Some(RegistryVerb::Inspect(arguments)) => Subject::image(&arguments.name),
            Some(RegistryVerb::Digest(arguments)) => Subject::image(&arguments.name),
            Some(RegistryVerb::Referrers(arguments)) => Subject::image(&arguments.name),
            // The others name what they speak of.
            _ => Subject::default(),
        }
    }

    /// Says whether nothing is asked for at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.verb.is_none() && self.serves().is_none()
    }
}

/// Answers the verbs that are no server.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let ended = match arguments.verb {
        Some(RegistryVerb::Ls(arguments)) => ls::run(arguments, session).await,
        Some(RegistryVerb::Tags(arguments)) => tags::run(arguments, session).await,
        Some(RegistryVerb::Inspect(arguments)) => inspect::run(arguments, session).await,
        Some(RegistryVerb::Digest(arguments)) => digest::run(arguments, session).await,
        Some(RegistryVerb::Tag(arguments)) => tag::run(arguments, session).await,
        Some(RegistryVerb::Rm(arguments)) => rm::run(arguments, session).await,
        Some(RegistryVerb::Referrers(arguments)) => referrers::run(arguments, session).await,
        Some(RegistryVerb::Check(arguments)) => check::run(arguments, session).await,
        // Served before there is a session.
        Some(RegistryVerb::Serve(_)) | None => Ok(()),
    };
    session.plainly(ended)
}
