//! `longshore copy`

mod sides;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use copy::{Copied, Copier, Pattern, Place, Source, Target};
use futures_util::{StreamExt as _, stream};
use spec::Platform;

use self::sides::Sides;
use self::told::{Painter, totals};
use crate::error::CliError;
use crate::render::{ProgressFlag, Stream};
use crate::session::Session;

/// Images that are copied together. Hosts have budgets of their own; this bounds what is known of images at a time.
const IMAGES_AT_ONCE: usize = 16;

/// Copy images from one place to another, with all their platforms
///
/// A place is spelt as skopeo does: `docker://NAME[:TAG|@DIGEST]` is a registry, and NAME alone means the same. Nothing is
/// unpacked, and no data root and no daemon is needed. A copy has the digest of its source. What is at the destination is not
/// sent again, and what another repository of the same registry has is mounted from there.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore copy [OPTIONS] SOURCE DESTINATION")]
pub(crate) struct Arguments {
    /// Copy all tags of the source's repository
    #[arg(short = 'a', long)]
    all_tags: bool,
    /// Write the digest of the copy to this file
    #[arg(long, value_name = "file")]
    digest_file: Option<PathBuf>,
    /// Say what would be copied, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Copy these platforms alone (also "a,b"): the image itself for one, an index that is cut, with a digest of its own, for
    /// several
    #[arg(long, value_name = "string", value_delimiter = ',')]
    platform: Vec<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Show no progress, and nothing at the end
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    sides: Sides,
    /// Copy the tags that fit this pattern, as "1.*" (also "a,b", and several times)
    #[arg(long, value_name = "pattern", value_delimiter = ',')]
    tags: Vec<String>,
    #[arg(hide = true, value_name = "SOURCE")]
    source: String,
    #[arg(hide = true, value_name = "DESTINATION")]
    destination: String,
}

/// Copies one image, or some of a repository.
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
    let started = Instant::now();
    let place = |text: &str| Place::parse(text).map_err(CliError::Place);
    let (from, to) = (place(&arguments.source)?, place(&arguments.destination)?);
    let platforms = arguments.platform.iter().map(|text| Platform::parse(text));
    let platforms = platforms.collect::<Result<Vec<Platform>, _>>()?;
    let tags = arguments.tags()?;
    if tags.is_some() {
        arguments.check_many(&from, &to)?;
    }
    let (reading, writing) = arguments.sides.open(session, &from, &to).await?;
    let source = Source::open(&from, &reading).await?;
    let target = Target::open(&to, &writing).await?;
    let carrier = Copier::new(Arc::clone(painter).report(), arguments.dry_run);
    let Some(patterns) = tags else {
        let copied =
            painter.while_it(Box::pin(carrier.copy(&source, &target, &platforms))).await??;
        if let Some(path) = &arguments.digest_file {
            write_digest(path, &copied)?;
        }
        let moved = totals(&carrier.summary(), started.elapsed(), arguments.dry_run);
        let done = if copied.unchanged { "up to date" } else { &moved };
        return painter.say(&told(&target, &copied, done));
    };
    let found = source.tags().await?;
    let wanted = found.iter().filter(|tag| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(tag.as_str()))
    });
    let mut results = stream::iter(wanted)
        .map(|tag| {
            let (source, target) = (source.tagged(tag), target.tagged(tag));
            let (carrier, platforms) = (&carrier, &platforms);
            async move { (carrier.copy(&source, &target, platforms).await, target) }
        })
        .buffered(IMAGES_AT_ONCE);
    let (mut images, mut unchanged, mut failures) = (0, 0, Vec::new());
    while let Some((copied, target)) = painter.while_it(results.next()).await? {
        images += 1;
        match copied {
            Ok(copied) => {
                unchanged += usize::from(copied.unchanged);
                let done = if copied.unchanged { "up to date" } else { arguments.done() };
                painter.say(&told(&target, &copied, done))?;
            }
            Err(error) => failures.push(CliError::from(error)),
        }
    }
    drop(results);
    if images == 0 {
        return Err(CliError::Refused(format!("{source}: no tag of the repository fits")));
    }
    let copied = images - unchanged - failures.len();
    let moved = totals(&carrier.summary(), started.elapsed(), arguments.dry_run);
    let failed = failures.len();
    painter.say(&format!(
        "{images} images: {copied} {}, {unchanged} up to date, {failed} failed; {moved}",
        arguments.done()
    ))?;
    if failures.is_empty() { Ok(()) } else { Err(CliError::Several(failures)) }
}

impl Arguments {
    /// Returns the patterns of tags, if not one image is meant; none fit all.
    fn tags(&self) -> Result<Option<Vec<Pattern>>, CliError> {
        if self.tags.is_empty() {
            return Ok(self.all_tags.then(Vec::new));
        }
        if self.all_tags {
            let message = "--all-tags and --tags contradict each other";
            return Err(CliError::Refused(message.to_owned()));
        }
        let patterns = self.tags.iter().map(|text| text.parse::<Pattern>());
        let patterns = patterns.collect::<Result<Vec<_>, _>>();
        patterns.map(Some).map_err(|error| CliError::Refused(error.to_string()))
    }

    /// Says what becomes of an image that is not there.
    fn done(&self) -> &'static str {
        if self.dry_run { "would be copied" } else { "copied" }
    }

    fn check_many(&self, from: &Place, to: &Place) -> Result<(), CliError> {
        for (place, side) in [(from, "source"), (to, "destination")] {
            if !place.is_name_only() {
                return Err(CliError::Refused(format!(
                    "with --all-tags and --tags the {side} is a repository, without a tag: {place}"
                )));
            }
        }
        if self.digest_file.is_some() {
            let message = "--digest-file is for one image, not for --all-tags and --tags";
            return Err(CliError::Refused(message.to_owned()));
        }
        Ok(())
    }
}

fn told(target: &Target, copied: &Copied, done: &str) -> String {
    let cut = if copied.cut { " (an index cut to these platforms)" } else { "" };
    format!("{target}: digest: {}{cut} {done}", copied.digest)
}

/// Writes a digest as skopeo does: without a line end.
fn write_digest(path: &PathBuf, copied: &Copied) -> Result<(), CliError> {
    std::fs::write(path, copied.digest.to_string())
        .map_err(|source| CliError::Refused(format!("cannot write {}: {source}", path.display())))
}
