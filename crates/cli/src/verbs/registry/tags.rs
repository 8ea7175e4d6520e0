//! `longshore registry tags`

use api::remote::Tags;
use go_template::Listing;
use http::Method;

use super::Question;
use crate::cells::row;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

const HEADERS: [(&str, &str); 2] = [("Repository", "REPOSITORY"), ("Tag", "TAG")];

/// List the tags of a repository
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry tags [OPTIONS] NAME")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true, required = true, value_name = "NAME")]
    pub(super) name: String,
}

/// Lists tags, one a line.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let route = (Method::GET, "/longshore/registry/tags");
    let question = Question::about(session, route, &arguments.name, None).await?;
    let found: Tags =
        question.document(session).await.map_err(|error| error.about(&arguments.name))?;
    let rows = found
        .tags
        .into_iter()
        .map(|tag| row("registry.tag", [("Repository", found.name.clone()), ("Tag", tag)]));
    let rows: Vec<_> = rows.collect();
    let format = match arguments.format.as_deref().unwrap_or_default() {
        "" => "{{.Tag}}",
        "table" => "table {{.Tag}}",
        format => format,
    };
    let listing = Listing { format, headers: &HEADERS };
    output::print(&listing.render(&rows)?)
}
