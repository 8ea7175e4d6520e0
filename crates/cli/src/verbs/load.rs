//! `longshore load`

mod directory;
mod url;

use std::fs::{File, Metadata};
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::Query;
use api::message::Message;

use super::parameters::Platforms;
use super::transfer;
use crate::client::{Call, RequestBody, Source, body_of};
use crate::error::{CliError, in_go_words};
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;
use crate::{terminal, values};

/// The time between two looks at how much was sent. What is sent sooner is not worth a line.
const SENDING_INTERVAL: Duration = Duration::from_millis(250);
/// The name of standard input in messages.
pub(super) const STDIN: &str = "standard input";

/// Load an image from a tar archive or STDIN
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore load [OPTIONS]")]
pub(crate) struct Arguments {
    /// Read from tar archive file, instead of STDIN; a directory (an OCI image layout) or a URL will do, too
    #[arg(short = 'i', long, value_name = "string", value_parser = values::path())]
    input: Option<PathBuf>,
    /// Load whole indexes, of which the archive must have all
    #[arg(long)]
    all_platforms: bool,
    /// Load only the given platforms: a comma-separated list of "os[/arch[/variant]]" (e.g., "linux/amd64,linux/arm64")
    #[arg(long, value_name = "string", value_delimiter = ',')]
    platform: Vec<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Suppress the load output
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Loads images from a file or from standard input.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(arguments.quiet, Stream::Output, session);
    let loaded = load(arguments, session, &mut display).await;
    display.finish(loaded.map(|_| None))
}

async fn load(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<Option<Message>, CliError> {
    let mut query = Query::new();
    let platforms = Platforms { named: &arguments.platform, all: arguments.all_platforms };
    platforms.add_to(&mut query, session).await?;
    let path = arguments.input.filter(|path| !path.as_os_str().is_empty());
    let name = path.as_ref().map_or_else(|| STDIN.to_owned(), |path| path.display().to_string());
    let input = match path {
        Some(path) => match path.to_str().filter(|input| url::is_url(input)) {
            Some(input) => url::open(input, session).await?,
            None if path.is_dir() => directory::open(&path)?,
            None => open(&path, session).await?,
        },
        None if terminal::reads_terminal() => {
            let message = "requested load from stdin, but stdin is empty";
            return Err(CliError::Refused(message.to_owned()));
        }
        None => stdin(session).await?,
    };
    // As docker, which wants to hear of layers where it shows them.
    query.add("quiet", if display.wants_facts() { "0" } else { "1" });
    let loaded = upload("/images/load", query, input, session, display).await;
    loaded.map_err(|error| of_archive(error, name))
}

/// Says of a failure which archive it is about: the daemon does not know that.
fn of_archive(error: CliError, name: String) -> CliError {
    if error.is_wrong_platform() {
        return CliError::Archive { name, error: Box::new(error.without_daemon()) };
    }
    match error.lacking_file() {
        Some(file) => {
            let hint = format!("{name} has no {file}: it is not complete, copy it here once more");
            CliError::Advised { error: Box::new(error), hint }
        }
        None => error,
    }
}

/// Sends a file and follows what becomes of it.
pub(super) async fn upload(
    path: &str,
    query: Query,
    (body, source): (RequestBody, Source),
    session: &Session,
    display: &mut Display,
) -> Result<Option<Message>, CliError> {
    let sent = async {
        let file = source.handed.clone();
        let call = Call { query, facts: display.wants_facts(), file, ..Call::default() };
        let answer = session.client.upload(path, call, body);
        let answer = sending(answer, &source, display).await??;
        transfer::follow(answer.messages(), display).await
    };
    sent.await.map_err(|error| source.explain(error))
}

/// Waits for the answer to what is sent, and shows how much of that is.
async fn sending<T>(
    answer: impl Future<Output = T>,
    source: &Source,
    display: &mut Display,
) -> Result<T, CliError> {
    let mut answer = std::pin::pin!(answer);
    if source.handed.is_some() {
        return Ok(answer.await);
    }
    let mut is_shown = false;
    loop {
        if let Ok(answer) = tokio::time::timeout(SENDING_INTERVAL, &mut answer).await {
            let sent = source.so_far();
            if is_shown {
                display.count("Sending", sent, Some(sent))?;
            }
            return Ok(answer);
        }
        is_shown = true;
        display.count("Sending", source.so_far(), source.size)?;
    }
}

/// Makes a request's body of an archive that is a file or a pipe.
async fn open(path: &Path, session: &Session) -> Result<(RequestBody, Source), CliError> {
    let name = path.display().to_string();
    match open_file(path).await? {
        (file, Some(size)) => session.client.body_of_file(file, name, size).await,
        (pipe, None) => Ok(body_of(pipe, name)),
    }
}

/// Makes a request's body of standard input, which may be a file of which nothing was read.
async fn stdin(session: &Session) -> Result<(RequestBody, Source), CliError> {
    let whole = || {
        let mut file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        (file.stream_position().ok()? == 0).then_some((file, metadata.len()))
    };
    match whole() {
        Some((file, size)) => session.client.body_of_file(file, STDIN.to_owned(), size).await,
        None => Ok(body_of(io::stdin(), STDIN)),
    }
}

/// Opens a file for a request, with its size; a pipe has none.
///
/// A named pipe opens when somebody writes to it. Nothing can take that back, so it is waited for on a thread that keeps neither a
/// signal nor the end of the command waiting.
pub(super) async fn open_file(path: &Path) -> Result<(File, Option<u64>), CliError> {
    let failed = |error: &io::Error| {
        CliError::Refused(format!("open {}: {}", path.display(), in_go_words(error)))
    };
    let (sender, opened) = tokio::sync::oneshot::channel();
    let named = path.to_owned();
    std::thread::spawn(move || sender.send(File::open(named)));
    let file = opened.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
    let file = file.map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if metadata.is_dir() {
        return Err(CliError::Refused(format!("read {}: is a directory", path.display())));
    }
    Ok((file, metadata.is_file().then_some(metadata.len())))
}
