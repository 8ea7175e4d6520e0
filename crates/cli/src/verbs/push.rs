//! `longshore push`

use api::message::ManifestPushedInsteadOfIndex as Note;
use api::{ApiVersion, Query, encode_platform};
use spec::{Platform, Reference};

use super::content_trust::ContentTrust;
use super::pull::requested;
use super::signing;
use super::transfer::{Notes, Transfer};
use super::trust::{Signing, sign_pushed};
use crate::error::CliError;
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;
use crate::{output, render, terminal};

/// The version of the API since which a push takes a platform.
const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 46);
const PLATFORM_NOTE: &str = "Using --platform pushes only the specified platform manifest of a multi-platform image index.\n\
     Other components, like attestations, will not be included.\n\
     To push the complete multi-platform image, remove the --platform flag.\n";

const INDEX_HINT: &str = "hint: `longshore pull --all-platforms` keeps the other platforms for a push, and `longshore copy` \
     sends them all without keeping them";
const REMADE_HINT: &str = "hint: `longshore copy` sends the whole index as it is, and an image that is pulled with keep-blobs `all` \
     is pushed as it came";

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
    /// Push what refers to the image, too, as far as it is here (see `pull --referrers`)
    #[arg(long)]
    referrers: bool,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    signing: signing::Signing,
    #[arg(hide = true, value_name = "NAME")]
    pub(crate) name: String,
}

/// Pushes an image, or all tags of a repository.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let is_trusted = arguments.content_trust.is_wanted(session);
    // As with docker, whoever signs is shown what.
    let quiet = arguments.quiet && !is_trusted;
    let mut display = arguments.progress.start(quiet, Stream::Output, session);
    let is_quiet = display.is_quiet() && !is_trusted;
    let pushed = push(arguments, session, &mut display).await;
    let (ended, reference, notes) = match pushed {
        Ok((reference, notes)) => {
            (Ok(is_quiet.then(|| reference.to_string())), Some(reference), notes)
        }
        Err(error) => (Err(error), None, Notes::default()),
    };
    let is_json = display.is_json();
    for note in notes.without_index.iter().filter(|_| is_json) {
        display.say(&without_index(note, |_, digest| digest.to_owned()))?;
    }
    display.finish(ended)?;
    for note in notes.without_index.iter().filter(|_| !is_json) {
        // Docker colours them in pipes and with `NO_COLOR`, too.
        let text = without_index(note, |colour, digest| format!("\x1b[{colour}m{digest}\x1b[0m"));
        output::print_drawn(&render::note(&text, terminal::writes_terminal()))?;
    }
    if !notes.without_index.is_empty() {
        output::warn_line(if notes.are_layers_remade { REMADE_HINT } else { INDEX_HINT });
    }
    match reference {
        Some(reference) if is_trusted => Box::pin(sign(&reference, &notes, session)).await,
        _ => Ok(()),
    }
}

/// Signs what was pushed. Without a tag there is nothing that a signature could be about.
async fn sign(reference: &Reference, notes: &Notes, session: &Session) -> Result<(), CliError> {
    if reference.tag().is_none() {
        output::warn_line("No tag specified, skipping trust metadata push");
        return Ok(());
    }
    Box::pin(sign_pushed(Signing::open(session, reference.repository()), &notes.pushed)).await
}

async fn push(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<(Reference, Notes), CliError> {
    let mut query = Query::new();
    if let Some(text) = arguments.platform.as_deref().filter(|platform| !platform.is_empty()) {
        session.client.require("--platform", PLATFORM_VERSION).await?;
        query.add("platform", encode_platform(&parse_platform(text)?));
    }
    if arguments.referrers {
        session.client.require_longshore("--referrers").await?;
        query.add("referrers", "1");
    }
    let reference = requested(&arguments.name, arguments.all_tags, display)?;
    if reference.digest().is_some() {
        return Err(CliError::Refused("cannot push a digest reference".to_owned()));
    }
    let key = arguments.signing.key(session).await?;
    let notes = send(&reference, query, session, display).await?;
    if let Some(key) = key {
        signing::sign(session, reference.repository(), &notes.pushed, &key, display).await?;
    }
    Ok((reference, notes))
}

/// Has the engine push what a name means, with parameters beside the tag.
pub(super) async fn send(
    reference: &Reference,
    mut query: Query,
    session: &Session,
    display: &mut Display,
) -> Result<Notes, CliError> {
    if let Some(tag) = reference.tag() {
        query.add("tag", tag.as_str());
    }
    let transfer = Transfer {
        verb: "push",
        repository: reference.repository(),
        path: format!("/images/{}/push", reference.repository()),
        query,
    };
    transfer.run(session, display).await
}

/// Returns what docker says of a push of one image for several; `shown` is what it does with a digest.
fn without_index(note: &Note, shown: impl Fn(&str, &str) -> String) -> String {
    let (index, manifest) = (&note.original_index.digest, &note.selected_manifest.digest);
    let (index, manifest) = (shown("31", &index.to_string()), shown("32", &manifest.to_string()));
    format!(
        "Not all multiplatform-content is present and only the available single-platform image was pushed\n\
         {index} -> {manifest}"
    )
}

fn parse_platform(text: &str) -> Result<Platform, CliError> {
    let platform =
        Platform::parse(text).inspect_err(|_| output::warn(&format!("Invalid platform {text}")))?;
    output::print_drawn(&render::note(PLATFORM_NOTE, terminal::writes_terminal()))?;
    Ok(platform)
}
