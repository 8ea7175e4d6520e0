//! `longshore registry ls`

use api::Query;
use api::remote::Catalog;
use go_template::Listing;
use http::Method;
use spec::Reference;

use super::Question;
use crate::cells::row;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// List the repositories of a registry
///
/// Docker Hub and many others have no such list, or show it to administrators alone.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry ls [OPTIONS] HOST")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true, required = true, value_name = "HOST")]
    pub(super) host: String,
}

/// Lists repositories, a name a line.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let host = arguments.host.trim_end_matches('/');
    // The grammar of names decides what a host may be; a word without dot or port is one where nothing else is meant.
    let probe = Reference::parse_familiar(&format!("{host}/a/b"));
    let is_host = probe.is_ok_and(|probe| probe.repository().domain() == host);
    if !is_host {
        return Err(CliError::Refused(format!(
            "`{}` is no registry's host, such as registry.example:5000",
            arguments.host
        )));
    }
    let query = Query::new().with("registry", host);
    let question =
        Question::of(session, (Method::GET, "/longshore/registry/catalog"), host, query).await;
    let found: Catalog = question.document(session).await.map_err(|error| advised(error, host))?;
    let rows: Vec<_> = found
        .repositories
        .into_iter()
        .map(|name| row("registry.repository", [("Name", name)]))
        .collect();
    let format = match arguments.format.as_deref().unwrap_or_default() {
        "" => "{{.Name}}",
        "table" => "table {{.Name}}",
        format => format,
    };
    let listing = Listing { format, headers: &[("Name", "NAME")] };
    output::print(&listing.render(&rows)?)
}

/// Says why a registry gives no list.
fn advised(error: CliError, host: &str) -> CliError {
    let CliError::Daemon { status: 401 | 403 | 404 | 405 | 501, .. } = error else { return error };
    let hint = match host {
        "docker.io" | "index.docker.io" => {
            "Docker Hub does not list its repositories; `longshore search TERM` finds some"
                .to_owned()
        }
        host => format!(
            "{host} has no list of repositories, or shows it to others (scope registry:catalog:*); `longshore registry \
             tags {host}/NAME` lists the tags of one"
        ),
    };
    CliError::Advised { error: Box::new(error), hint }
}
