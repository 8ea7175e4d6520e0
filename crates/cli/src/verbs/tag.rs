//! `longshore tag`

use api::Query;
use spec::{Digest, Reference};

use super::parameters::{PLATFORM_VERSION, platform_variant};
use crate::client::Call;
use crate::error::CliError;
use crate::session::Session;

/// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")]
pub(crate) struct Arguments {
    /// Tag what is here of the index for this platform, as an image of its own. Formatted as "os[/arch[/variant]]"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true)]
    source: String,
    #[arg(hide = true)]
    target: String,
}

/// Tags an image.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let Arguments { platform, source, target } = arguments;
    // The source may be an image's ID as well, which is no reference of its own right.
    if !is_id(&source) {
        parse(&source)?;
    }
    let reference = parse(&target)?;
    if reference.digest().is_some() {
        return Err(CliError::Refused(
            "refusing to create a tag with a digest reference".to_owned(),
        ));
    }
    let reference = reference.with_default_tag();
    let tag = reference.tag().map(|tag| tag.as_str().to_owned());
    let mut query = Query::new()
        .with("repo", reference.repository().to_string())
        .with("tag", tag.unwrap_or_default());
    if let Some(platform) = platform_variant(platform.as_deref(), PLATFORM_VERSION, session).await?
    {
        session.client.require_longshore("--platform").await?;
        query.add("platform", platform);
    }
    session
        .client
        .post(&format!("/images/{source}/tag"), Call::query(query))
        .await?
        .bytes()
        .await?;
    Ok(())
}

fn is_id(text: &str) -> bool {
    text.parse::<Digest>().is_ok()
        || text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn parse(text: &str) -> Result<Reference, CliError> {
    Reference::parse_familiar(text).map_err(|error| {
        CliError::Refused(format!(
            "Error parsing reference: {text:?} is not a valid repository/tag: {error}"
        ))
    })
}
