//! `longshore registry inspect`

use api::remote::Inspection;
use http::Method;

use super::{Question, formatted, summary};
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Show what a name means at its registry; no layer is downloaded
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry inspect [OPTIONS] NAME")]
pub(crate) struct Arguments {
    /// Print the image's config, byte for byte
    #[arg(long, conflicts_with = "raw")]
    config: bool,
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// The image of an index for this platform: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Print the manifest or index, byte for byte
    #[arg(long)]
    raw: bool,
    #[arg(hide = true, required = true, value_name = "NAME")]
    pub(super) name: String,
}

/// Shows a summary, or a document as it is.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let path = if arguments.raw || arguments.config {
        "/longshore/registry/document"
    } else {
        "/longshore/registry/inspect"
    };
    let platform = arguments.platform.as_deref();
    let question = Question::about(session, (Method::GET, path), &arguments.name, platform).await?;
    let named = |error: CliError| error.about(&arguments.name);
    if arguments.config {
        let config = question.with("config", "1").ask(session).await.map_err(named)?;
        return output::print_document(&config);
    }
    if arguments.raw {
        return output::print_document(&question.ask(session).await.map_err(named)?);
    }
    let found: Inspection = question.document(session).await.map_err(named)?;
    if formatted(arguments.format.as_deref(), &found)? {
        return Ok(());
    }
    output::print(&summary::text(&found))
}
