//! `longshore sync`

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use copy::{Copier, Entry, Images, Mode, Place, Side, Source, Syntax, Target};
use futures_util::{StreamExt as _, stream};

use super::copy::batch::{Image, Manner};
use super::copy::told::Painter;
use super::trusted;
use crate::error::CliError;
use crate::render::{ProgressFlag, Stream};
use crate::session::Session;

/// The largest file that is read: some ten thousand entries.
const MAX_FILE: u64 = 16 << 20;
/// Sources whose tags are listed together.
const LISTS_AT_ONCE: usize = 8;

/// Copy what a file lists from where it is to where it is wanted
///
/// The file is TOML, a table `[[copy]]` for each source, or, as `*.yaml` or `*.yml`, YAML with the same keys in a list `copy`:
///
///   [[copy]]
///   source = "registry.example/lib/alpine"
///   targets = ["mirror.example/alpine", "oci:/srv/alpine"]
///   tags = ["3.*", "latest"]           # patterns; tags-regex = ["^3\\."]
///   versions = ">=3.18 <4"             # also "~3.18", "^3.1", "3.18.*"
///   latest = 5                         # the newest of these by their versions
///   except = ["*-rc*"]                 # and except-regex
///   platforms = ["linux/amd64"]
///   referrers = true
///   compression = "zstd"               # as of `longshore copy`: other bytes,
///   format = "oci"                     # and so not together with referrers
///
/// All but `source` and one of `target` and `targets` may be missing. A source without a tag is a repository, and so is a layout
/// without a name, or an archive where tags are chosen: of its tags those are copied for which every key holds; of a key's list
/// one entry has to fit, and of `except` none. A version is numbers with dots, with or without a `v`; what is missing counts
/// as 0. A tag with a suffix, as `3.19-alpine` or `3.20-rc1`, counts as its numbers, and only where `tags` or `tags-regex` is
/// given, too. With `referrers` signatures, SBOMs and the like go along. Places are those of `longshore copy`, without
/// standard input and output and `docker-daemon:`. What is up to date costs a question to each side, and with `compression` or
/// `format` the documents of both sides are read each time. An archive or a directory is the target of one entry. Where one image
/// fails the others go on, and the command fails at its end; where no tag fits it says so, which is no failure.
#[expect(clippy::doc_link_with_quotes, reason = "TOML's lists are no links")]
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore sync [OPTIONS] FILE", verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Say what would be copied, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask for every part at its targets, even where an image is there, and send what they lack
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Show no progress, and nothing at the end
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true, value_name = "FILE")]
    file: PathBuf,
}

/// Copies what is listed.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let painter = Painter::new(arguments.progress.start(arguments.quiet, Stream::Output, session));
    let copied = run_shown(&arguments, session, &painter).await;
    painter.finish(copied)
}

async fn run_shown(
    arguments: &Arguments,
    session: &Session,
    painter: &Arc<Painter>,
) -> Result<(), CliError> {
    let manner = Manner { painter, dry_run: arguments.dry_run, started: Instant::now() };
    let entries = read(&arguments.file)?;
    let side = Side::new(session.registries()?, None, std::env::temp_dir())?;
    let side = side.trusting(session.trust()?);
    let mode = Mode { dry: arguments.dry_run, force: arguments.force };
    let carrier =
        Copier::new(Arc::clone(painter).report(), mode, session.copied(), std::env::temp_dir());
    let mut lists = stream::iter(&entries)
        .map(|entry| {
            let side = &side;
            async move { (entry, list(entry, side, session).await) }
        })
        .buffered(LISTS_AT_ONCE);
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    while let Some((entry, listed)) = lists.next().await {
        let (source, found) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        if let Some(found) = &found {
            if !entry.tags.is_by_text() {
                painter.tell_untagged(found)?;
            }
            if found.images.is_empty() {
                let (file, line) = (arguments.file.display(), entry.line);
                let wanted = match entry.tags.to_string() {
                    words if words.is_empty() => "there are no tags".to_owned(),
                    words => format!("no tag there fits ({words})"),
                };
                painter.warn(format!(
                    "WARNING: {file}: line {line}: {}: {wanted}, and nothing is copied",
                    entry.source
                ))?;
            }
        }
        for place in &entry.targets {
            let target = match Target::open(place, &side, None).await {
                Ok(target) => target,
                Err(error) => {
                    failures.push(error.into());
                    continue;
                }
            };
            let (platforms, referrers) = (&entry.platforms[..], entry.referrers);
            let conversion = entry.conversion;
            match &found {
                None => {
                    // What is one image keeps its tag where the target names none.
                    let target = match &entry.source {
                        Place::Registry(source) if place.is_name_only() => {
                            source.tag().map_or(target.clone(), |tag| target.tagged(tag))
                        }
                        _ => target,
                    };
                    let source = source.clone();
                    images.push(Image { source, target, platforms, referrers, conversion });
                }
                Some(found) => images.extend(found.images.iter().map(|(tag, source)| Image {
                    source: source.clone(),
                    target: target.tagged(tag),
                    platforms,
                    referrers,
                    conversion,
                })),
            }
        }
    }
    manner.copy(&carrier, images, failures).await
}

fn read(path: &PathBuf) -> Result<Vec<Entry>, CliError> {
    let refused =
        |why: &dyn std::fmt::Display| CliError::Refused(format!("{}: {why}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refused(&error))?;
    // A pipe does not tell its length.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| refused(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(&"too large for a file of `longshore sync`"));
    }
    let text = String::from_utf8(bytes).map_err(|error| refused(&error.utf8_error()))?;
    Entry::parse(&text, Syntax::of(path)).map_err(|error| refused(&error))
}

/// Opens a source, and lists the images that are wanted where it is a repository.
async fn list(
    entry: &Entry,
    side: &Side,
    session: &Session,
) -> Result<(Source, Option<Images<Source>>), CliError> {
    let place = trusted::source(session, entry.source.clone(), entry.is_repository()).await?;
    let source = Source::open(&place, side, None).await?;
    if !entry.is_repository() {
        return Ok((source, None));
    }
    let mut found = source.images(&|tag| entry.tags.wants(tag.as_str())).await?;
    found.images = entry.tags.newest(found.images);
    Ok((source, Some(found)))
}
