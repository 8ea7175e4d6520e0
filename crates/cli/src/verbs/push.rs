//! `longshore push`

use api::{ApiVersion, Query, encode_platform};
use spec::{Platform, Reference};

use super::content_trust::{ContentTrust, Doing};
use super::pull::requested;
use super::transfer::Transfer;
use crate::error::CliError;
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;
use crate::{output, render, terminal};

/// The version of the API since which a push takes a platform.
const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 46);
const PLATFORM_NOTE: &str = "Using --platform pushes only the specified platform manifest of a multi-platform image index.\n\
     Other components, like attestations, will not be included.\n\
     To push the complete multi-platform image, remove the --platform flag.\n";

/// Upload an image to a registry
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore push [OPTIONS] NAME[:TAG]")]
pub(crate) struct Arguments {
    /// Push all tags of an image to the repository
    #[arg(short = 'a', long)]
    all_tags: bool,
    #[command(flatten)]
    content_trust: ContentTrust,
    /// Push a platform-specific manifest as a single-platform image to the registry: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true, value_name = "NAME")]
    name: String,
}

/// Pushes an image, or all tags of a repository.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(arguments.quiet, Stream::Output, session);
    let is_quiet = display.is_quiet();
    let pushed = push(arguments, session, &mut display).await;
    display.finish(pushed.map(|reference| is_quiet.then(|| reference.to_string())))
}

async fn push(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<Reference, CliError> {
    let mut query = Query::new();
    if let Some(text) = arguments.platform.as_deref().filter(|platform| !platform.is_empty()) {
        session.client.require("--platform", PLATFORM_VERSION).await?;
        query.add("platform", encode_platform(&parse_platform(text)?));
    }
    let reference = requested(&arguments.name, arguments.all_tags, display)?;
    if reference.digest().is_some() {
        return Err(CliError::Refused("cannot push a digest reference".to_owned()));
    }
    arguments.content_trust.refuse(session, Doing::Push)?;
    if let Some(tag) = reference.tag() {
        query.add("tag", tag.as_str());
    }
    let transfer = Transfer {
        verb: "push",
        repository: reference.repository(),
        path: format!("/images/{}/push", reference.repository()),
        query,
    };
    transfer.run(session, display).await?;
    Ok(reference)
}

fn parse_platform(text: &str) -> Result<Platform, CliError> {
    let platform =
        Platform::parse(text).inspect_err(|_| output::warn(&format!("Invalid platform {text}")))?;
    output::print_drawn(&render::note(PLATFORM_NOTE, terminal::writes_terminal()))?;
    Ok(platform)
}
