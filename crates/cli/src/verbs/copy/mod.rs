//! `longshore copy`

pub(super) mod batch;
mod digest_file;
mod sides;
mod streams;
pub(super) mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use copy::{Conversion, Copier, CopyError, Mode, Pattern, Place, Summary};
use spec::{Platform, Reference, Tag};

use self::batch::{Image, Manner};
use self::digest_file::DigestFile;
use self::sides::Sides;
use self::told::{Painter, totals};
use super::signing::Signing;
use super::trusted;
use crate::error::CliError;
use crate::hints::Subject;
use crate::render::{ProgressFlag, Stream};
use crate::session::Session;

/// Copy images from one place to another, with all their platforms
///
/// A place is spelt as skopeo does: `docker://NAME[:TAG|@DIGEST]` is a registry, and NAME alone means the same;
/// `oci:FOLDER[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`, `dir:FOLDER` are files, where `-` for a file is
/// standard input or output; `docker-daemon:NAME` is the daemon, or the store of this process. Nothing is unpacked, and no data
/// root and no daemon is needed but for the last. An archive of that name which is there is replaced, without a question, once the
/// copy is whole; to a layout in a folder the image is added. A copy has the digest of its source, but for `--compression` and `--format`,
/// which make other bytes: a note tells the new digest. What is at the destination is not sent again, and what another
/// repository of the same registry has is mounted from there. What has to be put aside, as layers that are compressed anew, goes to
/// `$TMPDIR` (else /tmp).
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore copy [OPTIONS] SOURCE DESTINATION")]
pub(crate) struct Arguments {
    /// Copy all tags of the source: of a repository, a layout or an archive
    #[arg(short = 'a', long)]
    all_tags: bool,
    /// Compress layers by "gzip" or "zstd" (also "zstd:9", with a level), where they are not; images of Docker's format become
    /// OCI's for zstd
    #[arg(long, value_name = "string")]
    compression: Option<String>,
    /// Write the digest of the copy to this file, but for a dry run
    #[arg(long, value_name = "file")]
    digest_file: Option<PathBuf>,
    /// Say what would be copied, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask for every part at the destination, even where the image is there, and send what it lacks
    #[arg(long)]
    force: bool,
    /// Give manifests, indexes, configs and layers the media types of "oci" or "docker"
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Copy these platforms alone (also "a,b"): the image itself for one, an index that is cut, with a digest of its own, for
    /// several
    #[arg(long, value_name = "string", value_delimiter = ',')]
    platform: Vec<String>,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Show no progress, and nothing at the end
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Copy what refers to the image and to its manifests, too, where the destination lacks it: signatures, SBOMs, attestations,
    /// and the tags "sha256-*.sig", ".att" and ".sbom" of cosign
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    sides: Sides,
    #[command(flatten)]
    signing: Signing,
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
    let from = Place::parse(&arguments.source).map_err(CliError::Place)?;
    let to = Place::parse_target(&arguments.destination).map_err(CliError::Place)?;
    let many = arguments.all_tags || !arguments.tags.is_empty();
    let places = (trusted::source(session, from, many).await?, to);
    // What goes to standard output is the archive alone.
    let stream = if places.1.is_standard() { Stream::Error } else { Stream::Output };
    let painter = Painter::new(arguments.progress.start(arguments.quiet, stream, session));
    let copied = run_shown(&arguments, places, session, &painter).await;
    painter.finish(copied.map_err(|error| advised(error, &arguments)))
}

/// Says what may be meant by what has failed.
fn advised(error: CliError, arguments: &Arguments) -> CliError {
    if let CliError::Copy(cause) = &error
        && let Some(path) = cause.without_room()
    {
        let hint = format!(
            "there is no room where {path} is to be: make some there, or choose another place"
        );
        return CliError::Advised { error: Box::new(error), hint };
    }
    // A name is one of an image whatever it looks like.
    match [&arguments.source, &arguments.destination].into_iter().find(|text| is_file(text, &error))
    {
        Some(text) => {
            let hint = format!(
                "{text} is taken for the name of an image: a file is docker-archive:{text} or oci-archive:{text}, a directory \
                 oci:{text} or dir:{text}"
            );
            CliError::Advised { error: Box::new(error), hint }
        }
        None => error,
    }
}

/// Says whether a file is meant by a name that a registry was asked for: one that looks like an archive, or one that is here and not there.
fn is_file(text: &str, error: &CliError) -> bool {
    let CliError::Copy(cause) = error else { return false };
    let CopyError::Registry { place, source } = &**cause else { return false };
    let (Ok(Place::Registry(name)), Ok(asked)) =
        (Place::parse(text), Reference::parse_familiar(place))
    else {
        return false;
    };
    let path = Path::new(text);
    let is_archive = path.extension().is_some_and(|end| end == "tar");
    // Docker Hub denies what it has not.
    let is_nowhere = source.is_not_found() || source.is_unauthorized() || source.is_denied();
    name.repository() == asked.repository() && (is_archive || path.exists() && is_nowhere)
}

async fn run_shown(
    arguments: &Arguments,
    (from, to): (Place, Place),
    session: &Session,
    painter: &Arc<Painter>,
) -> Result<(), CliError> {
    let platforms = arguments.platform.iter().map(|text| Platform::parse(text));
    let platforms = platforms.collect::<Result<Vec<Platform>, _>>()?;
    let tags = arguments.tags()?;
    let conversion = arguments.conversion()?;
    if tags.is_some() {
        arguments.check_many(&from, &to)?;
    }
    // A dry run stores nothing, and may not know it.
    let digest_file = arguments.digest_file.as_deref().filter(|_| !arguments.dry_run);
    let digest_file = digest_file.map(DigestFile::open).transpose()?;
    let key = arguments.signing.key(session).await?;
    let manner = Manner { painter, dry_run: arguments.dry_run, started: Instant::now() };
    let (reading, writing) = arguments.sides.open(session, &from, &to).await?;
    let source = streams::source(&from, &reading, session).await?;
    let (target, pipe) = streams::target(&to, &writing).await?;
    let mode = Mode { dry: arguments.dry_run, force: arguments.force };
    let (report, aside) = (Arc::clone(painter).report(), std::env::temp_dir());
    let carrier = Copier::new(report, mode, session.copied(), aside).signing(key);
    if let Some(patterns) = tags {
        let is_wanted = |tag: &Tag| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(tag.as_str()))
        };
        let found = source.images(&is_wanted).await?;
        if patterns.is_empty() {
            painter.tell_untagged(&found)?;
        }
        let image = |(tag, source)| Image {
            source,
            target: target.tagged(&tag),
            platforms: &platforms,
            referrers: arguments.referrers,
            conversion,
        };
        let images: Vec<Image<'_>> = found.images.into_iter().map(image).collect();
        if images.is_empty() {
            return Err(CliError::Refused(format!("{from}: no tag there fits")));
        }
        return manner.copy(&carrier, images, Vec::new()).await;
    }
    let name = target.to_string();
    let carrier = carrier.with_conversion(conversion);
    let carrier = if arguments.referrers { carrier.with_referrers() } else { carrier };
    let (carried_by, wanted) = (&carrier, &platforms);
    // It owns the target: the archive for a daemon ends with it, however that comes.
    let work = Box::pin(async move {
        let copied = carried_by.copy(&source, &target, wanted).await?;
        target.finish().await?;
        Ok::<_, CliError>(copied)
    });
    let copied = match pipe.filter(|_| !arguments.dry_run) {
        Some(pipe) => {
            let both = async { tokio::join!(work, streams::send(pipe, session)) };
            let (copied, sent) = painter.while_it(Box::pin(both)).await?;
            // A source that fails ends the archive early, and what the daemon says of that helps nobody.
            let copied = copied?;
            sent?;
            copied
        }
        None => painter.while_it(work).await??,
    };
    if let Some(file) = digest_file {
        file.write(&copied.digest)?;
    }
    let summary = carrier.summary();
    let moved = totals(&summary, manner.started.elapsed(), arguments.dry_run);
    let done = match copied.unchanged {
        true if summary == Summary::default() => "up to date".to_owned(),
        true => format!("up to date; {moved}"),
        false => moved,
    };
    manner.tell(&name, &copied, &done, conversion)
}

impl Arguments {
    /// Returns what the copy is about, for hints.
    pub(crate) fn subject(&self) -> Subject {
        let places = (Place::parse(&self.source), Place::parse_target(&self.destination));
        let (Ok(from), Ok(to)) = places else { return Subject::default() };
        Subject::with_flags(self.sides.logins(&from, &to))
    }

    /// Says whether one of the places is the store of this process, where there is no daemon.
    pub(crate) fn needs_store(&self) -> bool {
        let is_daemon = |text: &String| matches!(Place::parse(text), Ok(Place::Daemon(_)));
        [&self.source, &self.destination].into_iter().any(is_daemon)
    }

    /// Returns the changes that are asked for.
    fn conversion(&self) -> Result<Option<Conversion>, CliError> {
        let read = || {
            let encoding = self.compression.as_deref().map(str::parse).transpose()?;
            let format = self.format.as_deref().map(str::parse).transpose()?;
            Conversion::new(encoding, format)
        };
        let conversion = read().map_err(|error| CliError::Refused(error.to_string()))?;
        if conversion.is_some() && self.referrers {
            let message = "--referrers copies what refers to an image by its digest, which --compression and --format change: \
                 use one without the other";
            return Err(CliError::Refused(message.to_owned()));
        }
        Ok(conversion)
    }

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

    fn check_many(&self, from: &Place, to: &Place) -> Result<(), CliError> {
        let wrong = if !from.may_list() {
            Some(("source is a repository, a layout or an archive", from))
        } else if !to.takes_many() {
            Some(("destination is a repository, a layout or an oci-archive:", to))
        } else {
            None
        };
        if let Some((wanted, place)) = wrong {
            return Err(CliError::Refused(format!(
                "with --all-tags and --tags the {wanted}, without a tag: {place}"
            )));
        }
        if self.digest_file.is_some() {
            let message = "--digest-file is for one image, not for --all-tags and --tags";
            return Err(CliError::Refused(message.to_owned()));
        }
        Ok(())
    }
}
