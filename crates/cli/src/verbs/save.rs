//! `longshore save`

use std::fs::{self, FileType};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use api::message::Message;
use api::{ARCHIVE_HEEDED_HEADER, ARCHIVE_NOTE_HEADER, ARCHIVE_SIZE_HEADER, Query};

use super::parameters::Platforms;
use crate::aside::Aside;
use crate::client::Call;
use crate::error::{CliError, in_go_words};
use crate::render::{Display, ProgressFlag, Stream, TICK};
use crate::session::Session;
use crate::{output, terminal, values};

/// Parameters that docker has not, and what is to be done about a daemon that heeds them not.
const OWN: [(&str, &str); 2] = [
    ("since", "cannot leave layers out: save without --since"),
    ("referrers", "keeps no referrers: save without --referrers"),
];

/// Save one or more images to a tar archive (streamed to STDOUT by default)
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore save [OPTIONS] IMAGE [IMAGE...]")]
pub(crate) struct Arguments {
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long, value_name = "string", value_parser = values::path())]
    output: Option<PathBuf>,
    /// Save the whole index of each image, all of which must be here (see `pull --all-platforms`)
    #[arg(long)]
    all_platforms: bool,
    /// Save only the given platforms: a comma-separated list of "os[/arch[/variant]]" (e.g., "linux/amd64,linux/arm64")
    #[arg(long, value_name = "string", value_delimiter = ',')]
    platform: Vec<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Leave out the layers that whoever loads the archive has by this image
    #[arg(long, value_name = "IMAGE")]
    since: Vec<String>,
    /// Save what refers to the images, too: signatures, SBOMs and attestations (see `pull --referrers`)
    #[arg(long)]
    referrers: bool,
    #[arg(hide = true, required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Saves images to a file or to standard output.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(false, Stream::Error, session);
    let saved = save(arguments, session, &mut display).await;
    display.finish(saved.map(|()| None))
}

async fn save(
    arguments: Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<(), CliError> {
    let output = arguments.output.filter(|path| !path.as_os_str().is_empty());
    let mut query = Query::new();
    let named = [&arguments.images[..], &arguments.since[..]].concat();
    for image in arguments.images {
        query.add("names", image);
    }
    let platforms = Platforms { named: &arguments.platform, all: arguments.all_platforms };
    platforms.add_to(&mut query, session).await?;
    if arguments.referrers {
        query.add("referrers", "1");
    }
    for image in arguments.since {
        query.add("since", image);
    }
    let output = output.filter(|path| path.as_os_str() != "-");
    let Some(path) = output else {
        if terminal::writes_terminal() {
            return Err(CliError::Refused(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect".to_owned(),
            ));
        }
        let received = receive(session, query, display, output::print_bytes).await;
        return match received {
            Err(error) => Err(naming(error, &named, session).await),
            Ok(()) => Ok(()),
        };
    };
    check_destination(&path)?;
    let mut file = Aside::new(&path, 0o600).map_err(|error| refused(in_go_words(&error)))?;
    let failed = |error: io::Error| not_written(&path, &error);
    let write = |chunk: &[u8]| file.write(chunk).map_err(failed);
    match receive(session, query, display, write).await {
        Err(error) => Err(naming(error, &named, session).await),
        Ok(()) => file.publish().map_err(failed),
    }
}

/// Hands on the archive while it arrives. What breaks it off later is asked for.
async fn receive(
    session: &Session,
    query: Query,
    display: &mut Display,
    mut write: impl FnMut(&[u8]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let operation = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let facts = display.wants_facts();
    let mut own = OWN.into_iter().filter(|(name, _)| query.contains(name)).collect::<Vec<_>>();
    let call = Call { query, facts, operation: Some(operation.clone()), ..Call::default() };
    let mut answer = match session.client.get("/images/get", call).await {
        Ok(answer) => answer,
        // A failure that comes before the head has left the daemon takes that with it.
        Err(error) => return Err(session.client.explain(&operation, error).await),
    };
    // Any other daemon sends what it always does, and says nothing of the parameter.
    let heeded = answer.header(ARCHIVE_HEEDED_HEADER).unwrap_or_default();
    own.retain(|(name, _)| heeded.split(',').all(|heeded| heeded != *name));
    if let Some((_, lacks)) = own.first() {
        let kind = if answer.is_longshores() { "an older one" } else { "not Longshore's" };
        return Err(CliError::Refused(format!("this daemon is {kind} and {lacks}")));
    }
    if let Some(note) = answer.header(ARCHIVE_NOTE_HEADER) {
        display.show(&Message { note: Some(note.to_owned()), ..Message::default() })?;
    }
    let total = answer.header(ARCHIVE_SIZE_HEADER).and_then(|size| size.parse().ok());
    let mut done = 0;
    loop {
        let Ok(chunk) = tokio::time::timeout(TICK, answer.chunk()).await else {
            display.tick()?;
            continue;
        };
        match chunk {
            Ok(Some(chunk)) => {
                write(&chunk)?;
                done += chunk.len() as u64;
                display.count("Saving", done, total)?;
            }
            Ok(None) => return display.count("Saving", done, Some(done)),
            Err(error) => return Err(session.client.explain(&operation, error).await),
        }
    }
}

fn not_written(path: &Path, error: &io::Error) -> CliError {
    let path = path.display();
    let refused = CliError::Refused(format!("write {path}: {}", in_go_words(error)));
    if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return refused;
    }
    let hint = format!(
        "there is no room where {path} is to be, whatever the store has: make some there, or save elsewhere"
    );
    CliError::Advised { error: Box::new(refused), hint }
}

/// Says which of these images is not here, which the daemon's words do not.
async fn naming(error: CliError, images: &[String], session: &Session) -> CliError {
    if !matches!(&error, CliError::Daemon { message, .. } if message == "reference does not exist")
    {
        return error;
    }
    for image in images {
        let path = format!("/images/{image}/json");
        let found = session.client.get(&path, Call::default()).await;
        if found.is_err_and(|error| error.is_not_found()) {
            let hint = format!(
                "{image} is not here: `longshore images` lists what is, `longshore pull {image}` fetches it"
            );
            return CliError::Advised { error: Box::new(error), hint };
        }
    }
    error
}

fn refused(why: impl std::fmt::Display) -> CliError {
    CliError::Refused(format!("failed to save image: {why}"))
}

/// Says why a file cannot be put at `path`, in Docker's words.
fn check_destination(path: &Path) -> Result<(), CliError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        let problem = match fs::metadata(parent) {
            Ok(metadata) if metadata.is_dir() => None,
            Ok(_) => Some("not a directory".to_owned()),
            Err(error) => Some(in_go_words(&error)),
        };
        if let Some(problem) = problem {
            return Err(refused(format!(
                "invalid output path: stat {}: {problem}",
                parent.display()
            )));
        }
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) => match unwritable(metadata.file_type()) {
            Some(kind) => Err(refused(format!("cannot write to {kind}"))),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(format!(
            "failed to stat output path: lstat {}: {}",
            path.display(),
            in_go_words(&error)
        ))),
    }
}

fn unwritable(kind: FileType) -> Option<&'static str> {
    [
        (kind.is_dir(), "a directory"),
        (kind.is_symlink(), "a symbolic link directly"),
        (kind.is_fifo(), "a named pipe (FIFO)"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device(), "a character device file"),
        (kind.is_block_device(), "a block device file"),
    ]
    .into_iter()
    .find_map(|(is_it, name)| is_it.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_that_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "old").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        let stat = |name: &str, problem: &str| {
            let path = at(name);
            format!("failed to save image: invalid output path: stat {}: {problem}", path.display())
        };
        let table = [
            (at("new"), None),
            (at("file"), None),
            (PathBuf::from("new"), None),
            (at("."), Some("failed to save image: cannot write to a directory".to_owned())),
            (
                at("link"),
                Some("failed to save image: cannot write to a symbolic link directly".to_owned()),
            ),
            (at("no/new"), Some(stat("no", "no such file or directory"))),
            (at("file/new"), Some(stat("file", "not a directory"))),
        ];
        for (path, expected) in table {
            let error = check_destination(&path).err().map(|error| error.to_string());
            assert_eq!(error, expected, "{}", path.display());
        }
    }
}
