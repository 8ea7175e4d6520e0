//! `longshore rmi`

use api::image::ImageDeleted;
use api::{ApiVersion, Query, encode_platform};
use spec::Platform;

use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The version of the API since which a removal takes platforms.
const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 50);

/// Remove one or more images
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore rmi [OPTIONS] IMAGE [IMAGE...]")]
pub(crate) struct Arguments {
    /// Force removal of the image
    #[arg(short = 'f', long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    platform: Vec<String>,
    #[arg(hide = true, required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Removes images. What can be removed is, whatever becomes of the others.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut query = Query::new();
    if arguments.force {
        query.add("force", "1");
    }
    if arguments.no_prune {
        query.add("noprune", "1");
    }
    if !arguments.platform.is_empty() {
        session.client.require("--platform", PLATFORM_VERSION).await?;
    }
    let named = arguments.platform.iter().filter(|text| !text.is_empty());
    let platforms = named.map(|text| Platform::parse(text));
    for platform in &platforms.collect::<Result<Vec<_>, _>>()? {
        query.add("platforms", encode_platform(platform));
    }
    let mut errors = Vec::new();
    for image in &arguments.images {
        match remove(session, image, query.clone()).await {
            Ok(lines) => output::print(&lines)?,
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    // With --force, what is not there is as good as removed: it is told and no failure.
    let all_absent = errors.iter().all(CliError::is_not_found);
    let error = CliError::Several(errors);
    if arguments.force && all_absent {
        output::warn_line(&error.to_string());
        return Ok(());
    }
    Err(error)
}

async fn remove(session: &Session, image: &str, query: Query) -> Result<String, CliError> {
    let response = session.client.delete(&format!("/images/{image}"), Call::query(query)).await?;
    let removed: Vec<ImageDeleted> = response.json().await?;
    let line = |removed: &ImageDeleted| match removed {
        ImageDeleted::Untagged(name) => format!("Untagged: {name}\n"),
        ImageDeleted::Deleted(id) => format!("Deleted: {id}\n"),
    };
    Ok(removed.iter().map(line).collect())
}
