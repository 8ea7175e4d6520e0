//! `longshore trust revoke`

use spec::Reference;
use trust::{Change, TrustError};

use super::signing::Signing;
use crate::error::CliError;
use crate::session::Session;
use crate::verbs::trusted::RELEASED;
use crate::{input, output};

/// Remove trust for an image
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore trust revoke [OPTIONS] IMAGE[:TAG]")]
pub(crate) struct Arguments {
    /// Do not prompt for confirmation
    #[arg(short = 'y', long)]
    yes: bool,
    #[arg(hide = true, value_name = "IMAGE")]
    image: String,
}

/// Removes a tag, or all of them, from what is signed by the keys that are here.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let image = arguments.image.as_str();
    let reference = Reference::parse_familiar(image)?;
    if reference.digest().is_some() {
        let message = "cannot use a digest reference for IMAGE:TAG";
        return Err(CliError::Refused(message.to_owned()));
    }
    if reference.tag().is_none() && !arguments.yes {
        let question = format!("Confirm you would like to delete all signature data for {image}?");
        if !input::confirm(&question).await? {
            // As with docker, that is no failure.
            return Ok(());
        }
    }
    let signing = Signing::open(session, reference.repository()).await?;
    revoke(&signing, reference.tag().map(spec::Tag::as_str)).await.map_err(|error| {
        CliError::Trust(format!("could not remove signature for {image}: {error}"))
    })?;
    output::print_line(&format!("Successfully deleted signature for {image}"))
}

async fn revoke(signing: &Signing, tag: Option<&str>) -> Result<(), TrustError> {
    let known = signing.notary.update().await?;
    let tags = match tag {
        Some(tag) => vec![known.target(tag, &RELEASED)?.name],
        None => known.targets(&RELEASED).into_iter().map(|target| target.name).collect(),
    };
    if tags.is_empty() {
        return Err(TrustError::NothingSigned);
    }
    let mut changes = Vec::new();
    for tag in tags {
        for role in known.signable(&tag, &signing.keys)? {
            changes.push(Change::Remove { role, tag: tag.clone() });
        }
    }
    signing.publisher().publish(None, &changes).await
}
