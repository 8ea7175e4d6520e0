//! `longshore pull`

use api::Query;
use spec::Reference;

use super::content_trust::ContentTrust;
use super::transfer::Transfer;
use super::trusted::{self, Trusted};
use crate::error::CliError;
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;

/// Download an image from a registry
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore pull [OPTIONS] NAME[:TAG|@DIGEST]")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Arguments {
    /// Download all tagged images in the repository
    #[arg(short = 'a', long)]
    all_tags: bool,
    /// Keep all that the image's index lists: every platform, and attestations
    #[arg(long)]
    all_platforms: bool,
    #[command(flatten)]
    content_trust: ContentTrust,
    /// Set platform if server is multi-platform capable; of several (a,b) the first is what the name means
    #[arg(long, value_name = "string", value_delimiter = ',')]
    platform: Vec<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Keep what refers to what is kept, too: signatures, SBOMs, attestations, by the registry's list and by cosign's tags
    #[arg(long)]
    referrers: bool,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true, value_name = "NAME")]
    pub(crate) name: String,
}

/// Pulls an image, or all tags of a repository.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(arguments.quiet, Stream::Output, session);
    let pulled = pull(arguments, session, &mut display).await;
    display.finish(pulled.map(|reference| Some(reference.to_string())))
}

async fn pull(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<Reference, CliError> {
    let reference = requested(&arguments.name, arguments.all_tags, display)?;
    let repository = reference.repository();
    let parameters = parameters(&arguments, session).await?;
    // What has the digest that was asked for is what was asked for, whoever signed it.
    if arguments.content_trust.is_wanted(session) && reference.digest().is_none() {
        let targets = Box::pin(trusted::targets(session, &reference)).await?;
        for (at, target) in targets.iter().enumerate() {
            trusted::announce((at + 1, targets.len()), target, repository, display)?;
            let Trusted { tag, digest } = target;
            let name = Reference::new(repository.clone(), Some(tag.clone()), None);
            fetch(&name, Some(digest.to_string()), &parameters, (session, display)).await?;
            trusted::tag(session, target, repository, display).await?;
        }
        return Ok(reference);
    }
    let tag = reference.tag().cloned();
    let (beside, tag) = match reference.digest() {
        Some(digest) => (tag, Some(digest.to_string())),
        None => (None, tag.map(|tag| tag.as_str().to_owned())),
    };
    let tag = (!arguments.all_tags).then(|| tag.unwrap_or_default());
    let name = Reference::new(repository.clone(), beside, None);
    fetch(&name, tag, &parameters, (session, display)).await?;
    Ok(reference)
}

/// Has the engine fetch an image by its tag or digest, or without one all tags of the repository. A tag that a digest is meant by is in
/// the name: a policy judges by it, and a dockerd takes no notice of it.
async fn fetch(
    name: &Reference,
    tag: Option<String>,
    parameters: &[(&'static str, String)],
    (session, display): (&Session, &mut Display),
) -> Result<(), CliError> {
    let repository = name.repository();
    let mut query = Query::new().with("fromImage", name.to_string());
    for (name, value) in parameters {
        query.add(*name, value.as_str());
    }
    if let Some(tag) = tag {
        query.add("tag", tag);
    }
    let path = "/images/create".to_owned();
    let transfer = Transfer { verb: "pull", repository, path, query };
    transfer.run(session, display).await.map(drop)
}

/// Returns the parameters that say for which platform the image is, and what else of its index is kept.
async fn parameters(
    arguments: &Arguments,
    session: &Session,
) -> Result<Vec<(&'static str, String)>, CliError> {
    let asked = arguments.platform.iter().filter(|platform| !platform.is_empty());
    let mut asked: Vec<String> = asked.map(|platform| platform.to_lowercase()).collect();
    let default = session.environment.default_platform.as_ref();
    if let Some(default) = default.filter(|default| asked.is_empty() && !default.is_empty()) {
        asked.push(default.to_lowercase());
    }
    let several = asked.len() > 1;
    let named = asked.into_iter().enumerate();
    let mut parameters: Vec<_> =
        named.map(|(at, value)| (if at == 0 { "platform" } else { "parts" }, value)).collect();
    // Another daemon would pass over what it does not know.
    if arguments.all_platforms {
        parameters.push(("parts", "all".to_owned()));
        session.client.require_longshore("--all-platforms").await?;
    } else if several {
        session.client.require_longshore("--platform with several platforms").await?;
    }
    if arguments.referrers {
        session.client.require_longshore("--referrers").await?;
        parameters.push(("referrers", "1".to_owned()));
    }
    Ok(parameters)
}

/// Returns what a name means for pull and push: `latest` where it says neither tag nor digest, which is told.
pub(super) fn requested(
    name: &str,
    all_tags: bool,
    display: &mut Display,
) -> Result<Reference, CliError> {
    let reference = Reference::parse_familiar(name)?;
    if all_tags && !reference.is_name_only() {
        return Err(CliError::Refused("tag can't be used with --all-tags/-a".to_owned()));
    }
    if all_tags || !reference.is_name_only() {
        return Ok(reference);
    }
    let reference = reference.with_default_tag();
    display.say("Using default tag: latest")?;
    Ok(reference)
}
