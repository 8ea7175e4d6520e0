//! `longshore import`

use std::io;
use std::path::Path;

use api::message::Message;
use api::{ApiVersion, Query};
use spec::Reference;

use super::load::{STDIN, open_file, upload};
use super::transfer;
use crate::client::{Call, body_of};
use crate::error::CliError;
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;

/// The version of the API since which an import takes a platform.
const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 32);

/// Import the contents from a tarball to create a filesystem image
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]")]
pub(crate) struct Arguments {
    /// Apply Dockerfile instruction to the created image
    #[arg(short = 'c', long, value_name = "list")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short = 'm', long, value_name = "string", default_value = "", hide_default_value = true)]
    message: String,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    // As Docker, which takes more and looks at two.
    #[arg(hide = true, required = true, value_name = "SOURCE")]
    source_and_name: Vec<String>,
}

/// Imports a file, standard input or what a URL gives.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(false, Stream::Output, session);
    let is_quiet = display.is_quiet();
    let imported = import(arguments, session, &mut display).await;
    // The last status is the image's ID.
    display.finish(imported.map(|last| last.filter(|_| is_quiet)?.status))
}

async fn import(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<Option<Message>, CliError> {
    let mut positional = arguments.source_and_name.into_iter();
    let source = positional.next().unwrap_or_default();
    let name = positional.next().unwrap_or_default();
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let body = match source.as_str() {
        _ if is_url => None,
        "-" => Some(body_of(io::stdin(), STDIN)),
        path => {
            let (file, size) = open_file(Path::new(path)).await?;
            let (body, source) = body_of(file, path);
            Some((body, source.of_size(size)))
        }
    };
    if !name.is_empty() {
        Reference::parse_familiar(&name)?;
    }
    let mut query = Query::new();
    query.add("fromSrc", if is_url { &source } else { "-" });
    for (parameter, value) in [("repo", name), ("message", arguments.message)] {
        if !value.is_empty() {
            query.add(parameter, value);
        }
    }
    if arguments.platform.is_some() {
        session.client.require("--platform", PLATFORM_VERSION).await?;
    }
    let platform = arguments.platform.as_ref().or(session.environment.default_platform.as_ref());
    if let Some(platform) = platform.filter(|platform| !platform.is_empty()) {
        query.add("platform", platform.to_lowercase());
    }
    for change in arguments.change {
        query.add("changes", change);
    }
    if let Some(body) = body {
        return upload("/images/create", query, body, session, display).await;
    }
    let answer = session.client.post("/images/create", Call::query(query)).await?;
    transfer::follow(answer.messages(), display).await
}
