//! `longshore load`

mod directory;
mod url;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use api::Query;

use super::parameters::platform_variant;
use super::save::PLATFORM_VERSION;
use super::{stream, transfer};
use crate::client::{RequestBody, Source, body_of};
use crate::error::{CliError, in_go_words};
use crate::session::Session;
use crate::{terminal, values};

/// The name of standard input in messages.
pub(super) const STDIN: &str = "standard input";

/// Load an image from a tar archive or STDIN
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore load [OPTIONS]")]
pub(crate) struct Arguments {
    /// Read from tar archive file, instead of STDIN; a directory (an OCI image layout) or a URL will do, too
    #[arg(short = 'i', long, value_name = "string", value_parser = values::path())]
    input: Option<PathBuf>,
    /// Load only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress the load output
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Loads images from a file or from standard input.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let platform =
        platform_variant(arguments.platform.as_deref(), PLATFORM_VERSION, session).await?;
    let input = match arguments.input.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => match path.to_str().filter(|input| url::is_url(input)) {
            Some(input) => url::open(input).await?,
            None if path.is_dir() => directory::open(&path)?,
            None => open(&path)?,
        },
        None if terminal::reads_terminal() => {
            let message = "requested load from stdin, but stdin is empty";
            return Err(CliError::Refused(message.to_owned()));
        }
        None => body_of(io::stdin(), STDIN),
    };
    let mut query = Query::new();
    if let Some(platform) = platform {
        query.add("platform", platform);
    }
    let quiet = arguments.quiet || !terminal::writes_terminal();
    query.add("quiet", if quiet { "1" } else { "0" });
    upload("/images/load", query, input, !arguments.quiet, session).await
}

/// Sends a file and follows what becomes of it; if that is wanted, shows at a terminal how much was read.
pub(super) async fn upload(
    path: &str,
    query: Query,
    (body, source): (RequestBody, Source),
    is_shown: bool,
    session: &Session,
) -> Result<(), CliError> {
    let sent = async {
        let upload = session.client.upload(path, query, body);
        let what = format!("Reading {}", source.name());
        let answer = stream::with_line(is_shown, &what, || source.so_far(), upload).await?;
        transfer::follow(answer.messages(), false).await
    };
    sent.await.map_err(|error| source.explain(error))
}

/// Begins to read a file for a request.
pub(super) fn open(path: &Path) -> Result<(RequestBody, Source), CliError> {
    let failed = |error: &io::Error| {
        CliError::Refused(format!("open {}: {}", path.display(), in_go_words(error)))
    };
    let file = File::open(path).map_err(|error| failed(&error))?;
    if file.metadata().map_err(|error| failed(&error))?.is_dir() {
        return Err(CliError::Refused(format!("read {}: is a directory", path.display())));
    }
    Ok(body_of(file, path.display().to_string()))
}
