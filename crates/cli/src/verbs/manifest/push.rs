//! `longshore manifest push`

use api::remote::{ListPush, ListPushed, ListedImage};
use http::Method;
use spec::Reference;

use super::local::{List, Lists, LocalManifest, no_such_list, normalized};
use super::undaemoned;
use crate::error::CliError;
use crate::output;
use crate::session::Session;
use crate::verbs::registry::Question;

/// Push a manifest list to a repository
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore manifest push [OPTIONS] MANIFEST_LIST")]
pub(crate) struct Arguments {
    /// Allow push to an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Remove the local manifest list after push
    #[arg(short = 'p', long)]
    purge: bool,
    #[arg(hide = true, required = true, value_name = "MANIFEST_LIST")]
    list: String,
}

/// Pushes a list, with the manifests that its repository has not.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let lists = Lists::new(session.own_directory()?);
    let target = normalized(&arguments.list)?;
    let manifests = lists.all(&target)?.ok_or_else(|| no_such_list(&target))?;
    if manifests.is_empty() {
        return Err(CliError::Refused(format!("{target} not found")));
    }
    let images = elsewhere(&target, &manifests)?;
    let list = List::of(&manifests);
    let push = ListPush {
        name: target.to_string(),
        media_type: list.media_type.to_string(),
        list: list.text()?,
        images,
    };
    let route = (Method::POST, "/longshore/manifest/push");
    let name = target.to_string();
    let mut question = Question::about(session, route, &name, None).await?.body(&push)?;
    if arguments.insecure {
        question = question.with("insecure", "1");
    }
    let pushed: ListPushed = question.document(session).await.map_err(undaemoned)?;
    for ListedImage { digest, .. } in &push.images {
        let repository = target.repository();
        output::print_line(&format!("Pushed ref {repository}@{digest} with digest: {digest}"))?;
    }
    output::print_line(&pushed.digest)?;
    if arguments.purge { lists.remove(&target) } else { Ok(()) }
}

/// Checks the manifests of a list as docker does, and returns those of other repositories.
fn elsewhere(
    target: &Reference,
    manifests: &[LocalManifest],
) -> Result<Vec<ListedImage>, CliError> {
    let refused = |message: String| Err(CliError::Refused(message));
    let mut images = Vec::new();
    for manifest in manifests {
        let platform = &manifest.descriptor.platform;
        let name = &manifest.reference;
        if platform.os.is_empty() || platform.architecture.is_empty() {
            return refused(format!(
                "manifest {name} must have an OS and Architecture to be pushed to a registry"
            ));
        }
        let reference = Reference::parse_familiar(name)?;
        let (theirs, ours) = (reference.repository(), target.repository());
        if theirs.domain() != ours.domain() {
            return refused(format!(
                "cannot use source images from a different registry than the target image: {} != {}",
                theirs.domain(),
                ours.domain()
            ));
        }
        if theirs != ours {
            images.push(ListedImage {
                repository: theirs.to_string(),
                media_type: manifest.descriptor.media_type.to_string(),
                digest: manifest.descriptor.digest.clone(),
                raw: manifest.text()?,
            });
        }
    }
    Ok(images)
}
