//! `longshore registry digest`

use api::remote::Found;
use http::Method;

use super::Question;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Print the digest that a name means at its registry; nothing is downloaded
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry digest [OPTIONS] NAME")]
pub(crate) struct Arguments {
    /// The image of an index for this platform: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true, required = true, value_name = "NAME")]
    pub(super) name: String,
}

/// Prints a digest.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let route = (Method::GET, "/longshore/registry/digest");
    let platform = arguments.platform.as_deref();
    let question = Question::about(session, route, &arguments.name, platform).await?;
    let found: Found =
        question.document(session).await.map_err(|error| error.about(&arguments.name))?;
    output::print_line(&found.digest)
}
