//! `longshore manifest inspect`

use api::manifest::ManifestInspect;
use spec::to_go_json;

use super::local::{List, Lists, LocalManifest, no_such_list, normalized};
use super::{fetch, json};
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Display an image manifest, or manifest list
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore manifest inspect [OPTIONS] [MANIFEST_LIST] MANIFEST")]
pub(crate) struct Arguments {
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Output additional info including layers and platform
    #[arg(short = 'v', long)]
    verbose: bool,
    #[arg(hide = true, required = true, value_name = "MANIFEST")]
    first: String,
    #[arg(hide = true, value_name = "MANIFEST")]
    second: Option<String>,
}

/// Shows a list that is made here or one of its manifests, or what a name leads to at its registry.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let lists = session.own_directory().map(Lists::new);
    let (list, name) = match &arguments.second {
        Some(second) => (Some(&arguments.first), second),
        None => (None, &arguments.first),
    };
    let reference = normalized(name)?;
    if let Some(list) = list {
        let found = lists?.get(&normalized(list)?, &reference)?;
        let found = found.ok_or_else(|| no_such_list(&reference))?;
        return output::print(&text(&[found], false, arguments.verbose)?);
    }
    // As with docker, what cannot be read is asked for at the registry; so is all where there is no place for lists.
    if let Ok(Some(found)) = lists.and_then(|lists| lists.all(&reference)) {
        return output::print(&text(&found, true, arguments.verbose)?);
    }
    let found = fetch(session, &reference, arguments.insecure).await?;
    let ManifestInspect { is_list, manifests } = found;
    let manifests: Result<Vec<_>, _> = manifests.iter().map(LocalManifest::of).collect();
    let manifests = manifests.map_err(CliError::AnswerJson)?;
    output::print(&text(&manifests, is_list, arguments.verbose)?)
}

/// Returns what docker prints.
fn text(found: &[LocalManifest], is_list: bool, verbose: bool) -> Result<String, CliError> {
    let text = match (verbose, is_list) {
        (false, false) => {
            let raw = found.first().map(LocalManifest::text).transpose()?;
            json::indent(&raw.unwrap_or_default(), "\t")
        }
        (false, true) => List::of(found).text()?,
        (true, is_list) => {
            let document = match found.first() {
                Some(only) if !is_list => to_go_json(only),
                _ => to_go_json(&found),
            };
            json::indent(&document.map_err(CliError::AnswerJson)?, "\t")
        }
    };
    Ok(text + "\n")
}
