//! `longshore registry tag`

use api::remote::Found;
use http::Method;
use spec::Tag;

use super::Question;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Give an image at a registry one more tag, without downloading it
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry tag [OPTIONS] NAME TAG")]
pub(crate) struct Arguments {
    /// The image of an index for this platform: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true, required = true, value_name = "NAME")]
    name: String,
    #[arg(hide = true, required = true, value_name = "TAG")]
    tag: String,
}

/// Stores the manifest of a name under another tag.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let tag: Tag = arguments.tag.parse().map_err(|error| {
        CliError::Refused(format!(
            "{}: {error}: the tag alone is wanted, as in `1.2`",
            arguments.tag
        ))
    })?;
    let route = (Method::POST, "/longshore/registry/tag");
    let platform = arguments.platform.as_deref();
    let question = Question::about(session, route, &arguments.name, platform).await?;
    let found = question.with("tag", tag.as_str()).document(session).await;
    let found: Found = found.map_err(|error: CliError| error.about(&arguments.name))?;
    output::print_line(&format!("{tag}: digest: {} size: {}", found.digest, found.size))
}
