//! `longshore manifest rm`

use super::local::{Lists, no_such_list, normalized};
use crate::error::CliError;
use crate::session::Session;

/// Delete one or more manifest lists from local storage
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore manifest rm MANIFEST_LIST [MANIFEST_LIST...]")]
pub(crate) struct Arguments {
    #[arg(hide = true, required = true, value_name = "MANIFEST_LIST")]
    lists: Vec<String>,
}

/// Removes lists, and tells in the end of those that could not be.
pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), CliError> {
    let lists = Lists::new(session.own_directory()?);
    let remove = |name: &String| {
        let list = normalized(name)?;
        lists.all(&list)?.ok_or_else(|| no_such_list(&list))?;
        lists.remove(&list)
    };
    let errors: Vec<CliError> =
        arguments.lists.iter().filter_map(|name| remove(name).err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(CliError::Several(errors)) }
}
