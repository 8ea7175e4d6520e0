//! `longshore registry rm`

use api::remote::Removal;
use http::Method;
use spec::Reference;

use super::Question;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Delete tags and manifests at a registry
///
/// NAME:TAG deletes the tag alone; other tags of the manifest stay. NAME@DIGEST deletes the manifest with all its tags.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry rm NAME:TAG|NAME@DIGEST [NAME...]")]
pub(crate) struct Arguments {
    #[arg(hide = true, required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Deletes one name after the other, and tells in the end of those that could not be.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut errors = Vec::new();
    for name in &arguments.names {
        if let Err(error) = remove(name, session).await {
            errors.push(error);
        }
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(CliError::Several(errors)),
    }
}

async fn remove(name: &str, session: &Session) -> Result<(), CliError> {
    let route = (Method::DELETE, "/longshore/registry/manifest");
    let question = Question::about(session, route, name, None).await?;
    let removal: Removal =
        question.document(session).await.map_err(|error| advised(error.about(name), name))?;
    if let Some(untagged) = removal.untagged {
        output::print_line(&format!("Untagged: {untagged}"))?;
    }
    if let Some(deleted) = removal.deleted {
        output::print_line(&format!("Deleted: {deleted}"))?;
    }
    if removal.stood_in {
        output::warn_line(
            "the registry deletes no tags: it was moved to an empty image, and that was deleted",
        );
    }
    Ok(())
}

/// Says what a registry needs that deletes nothing.
fn advised(error: CliError, name: &str) -> CliError {
    if !matches!(error, CliError::Daemon { status: 405, .. }) {
        return error;
    }
    let reference = Reference::parse_familiar(name);
    let is_hub = reference.is_ok_and(|reference| reference.repository().is_docker_hub());
    let hint = if is_hub {
        "Docker Hub deletes by its web page and its own API alone"
    } else {
        "the registry is set not to delete: Docker's registry wants `storage.delete.enabled: true` in its configuration, \
         or REGISTRY_STORAGE_DELETE_ENABLED=true in its environment"
    };
    CliError::Advised { error: Box::new(error), hint: hint.to_owned() }
}
