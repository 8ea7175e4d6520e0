//! `longshore manifest create`

use api::manifest::ManifestInspect;

use super::fetch;
use super::local::{Lists, LocalManifest, normalized};
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Create a local manifest list for annotating and pushing to a registry
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore manifest create MANIFEST_LIST MANIFEST [MANIFEST...]")]
pub(crate) struct Arguments {
    /// Amend an existing manifest list
    #[arg(short = 'a', long)]
    amend: bool,
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
    #[arg(hide = true, required = true, value_name = "MANIFEST_LIST")]
    list: String,
    #[arg(hide = true, required = true, value_name = "MANIFEST")]
    manifests: Vec<String>,
}

/// Makes a list of manifests that registries have.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let lists = Lists::new(session.own_directory()?);
    let list = normalized(&arguments.list).map_err(|error| {
        let name = &arguments.list;
        CliError::Refused(format!("error parsing name for manifest list {name}: {error}"))
    })?;
    if lists.all(&list)?.is_some() && !arguments.amend {
        let message = "refusing to amend an existing manifest list with no --amend flag";
        return Err(CliError::Refused(message.to_owned()));
    }
    for name in &arguments.manifests {
        let reference = normalized(name)?;
        // What is annotated stays so.
        if lists.get(&list, &reference)?.is_some() {
            continue;
        }
        let ManifestInspect { is_list, manifests } =
            fetch(session, &reference, arguments.insecure).await?;
        let manifest = manifests.first().filter(|_| !is_list);
        let manifest =
            manifest.ok_or_else(|| CliError::Refused(format!("{reference} is a manifest list")))?;
        let manifest = LocalManifest::of(manifest).map_err(CliError::AnswerJson)?;
        lists.save(&list, &reference, &manifest)?;
    }
    output::print_line(&format!("Created manifest list {list}"))
}
