//! `longshore prune` and `longshore image prune`

mod rows;

use std::num::NonZeroUsize;

use api::image::{ImageDeleted, PruneReport};
use api::prune::PruneOutcome;
use api::{FREED_HEADER, Filters, Query};
use jiff::Timestamp;
use spec::go::{parse_long_duration, parse_size};

use crate::client::Call;
use crate::error::CliError;
use crate::input;
use crate::output;
use crate::session::Session;

const ALL_WARNING: &str =
    "WARNING! This will remove all images without at least one container associated to them.";
const DANGLING_WARNING: &str = "WARNING! This will remove all dangling images.";
const QUESTION: &str = "Are you sure you want to continue? [y/N] ";
/// The filters that a dockerd does not have.
const OWN_FILTERS: [&str; 4] = ["keep-last", "max-size", "reference", "unused-for"];

/// Remove unused images
///
/// --keep-last, --unused-for, --max-size and --reference choose among all images, with tags or without. Each of them narrows what goes: an
/// image that one of them protects stays. What is in use (mounted, in a container, relied on by a command that runs) stays in any case.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore prune [OPTIONS]")]
pub(crate) struct Arguments {
    /// Remove all unused images, not just dangling ones
    #[arg(short = 'a', long)]
    all: bool,
    #[allow(rustdoc::invalid_html_tags, reason = "Docker's help, not Markdown")]
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter", value_parser = super::images::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    /// Keep so many tagged images of each repository: those that were used (pulled, tagged, pushed, saved, mounted ...) last
    #[arg(long, value_name = "int")]
    keep_last: Option<NonZeroUsize>,
    /// Keep images that were used in this time: 30d, 2w, 12h
    #[arg(long, value_name = "duration", value_parser = duration)]
    unused_for: Option<String>,
    /// Remove the least recently used images first, and none once all together takes no more than this: 40GB, 512MiB
    #[arg(long, value_name = "bytes", value_parser = size)]
    max_size: Option<String>,
    /// Only remove names that match one of these patterns (ci/*, app:pr-*), and images that have no other name
    #[arg(long, value_name = "pattern")]
    reference: Vec<String>,
    /// Show what would be removed, why, and what that frees, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Format what goes using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
}

/// Reads a time as the daemon does, to refuse it early.
fn duration(text: &str) -> Result<String, String> {
    parse_long_duration(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Reads a size likewise.
fn size(text: &str) -> Result<String, String> {
    parse_size(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Removes unused images, once the user has agreed.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let configured = session.credentials_to_read().file().prune_filters();
    let filters = filters(&arguments, &configured);
    if arguments.is_docker() {
        return as_docker(&arguments, &filters, session).await;
    }
    let dry_run = arguments.dry_run;
    if !dry_run && !arguments.force {
        let planned = by_policy(&filters, true, session).await?;
        if rows::is_empty(&planned) {
            return show(&arguments, &planned);
        }
        let question = format!("{}{QUESTION}", rows::warning(&planned));
        if !input::ask(&question).await?.eq_ignore_ascii_case("y") {
            return Ok(());
        }
    }
    show(&arguments, &by_policy(&filters, dry_run, session).await?)
}

/// Prunes with what Docker's command has: the same words, and a request that every daemon knows.
async fn as_docker(
    arguments: &Arguments,
    filters: &Filters,
    session: &Session,
) -> Result<(), CliError> {
    if !arguments.force {
        let warning = if arguments.all { ALL_WARNING } else { DANGLING_WARNING };
        let question = format!("{warning}\n{QUESTION}");
        // Docker says nothing to a "no", and does not call it a failure.
        if !input::ask(&question).await?.eq_ignore_ascii_case("y") {
            return Ok(());
        }
    }
    let call = Call { query: query(filters), facts: true, ..Call::default() };
    let answer = session.client.post("/images/prune", call).await?;
    // All that is free now, as a dry run says it; other daemons know what their count is.
    let freed = answer.header(FREED_HEADER).and_then(|bytes| bytes.parse().ok());
    let report: PruneReport = answer.json().await?;
    let removed = report.images_deleted.as_deref().unwrap_or_default();
    output::print(&text(removed, freed.unwrap_or(report.space_reclaimed)))
}

/// Prunes, or only asks, by the route that daemons of others do not have: what they do not know of a request they pass over.
async fn by_policy(
    filters: &Filters,
    dry_run: bool,
    session: &Session,
) -> Result<PruneOutcome, CliError> {
    let mut query = query(filters);
    if dry_run {
        query.add("dry-run", "1");
    }
    let answer = session.client.post("/longshore/prune", Call::query(query)).await;
    let foreign = |error: CliError| {
        error.of_another_daemon(
            "prune by policy",
            "use --all and --filter, which every daemon knows",
        )
    };
    answer.map_err(foreign)?.json().await
}

fn show(arguments: &Arguments, outcome: &PruneOutcome) -> Result<(), CliError> {
    let format = arguments.format.as_deref().filter(|format| !format.is_empty());
    if arguments.dry_run || format.is_some() {
        let format = format.unwrap_or("table");
        return output::print(&rows::text(format, outcome, Timestamp::now())?);
    }
    let removed = outcome.images_deleted.as_deref().unwrap_or_default();
    output::print(&text(removed, outcome.space_reclaimed))
}

impl Arguments {
    /// Says whether a flag chooses among all images.
    fn has_policy(&self) -> bool {
        self.keep_last.is_some()
            || self.unused_for.is_some()
            || self.max_size.is_some()
            || !self.reference.is_empty()
    }

    /// Says whether nothing was asked for that Docker's command does not have.
    fn is_docker(&self) -> bool {
        let is_own = |(name, _): &(String, String)| OWN_FILTERS.contains(&name.as_str());
        !self.has_policy()
            && !self.dry_run
            && self.format.is_none()
            && !self.filter.iter().any(is_own)
    }

    /// Says whether the choice is among all images for another reason than `--all`.
    fn is_narrowed(&self) -> bool {
        let says = |(name, _): &(String, String)| {
            OWN_FILTERS.contains(&name.as_str()) || name == "dangling"
        };
        self.has_policy() || self.filter.iter().any(says) && !self.is_docker()
    }
}

fn query(filters: &Filters) -> Query {
    let mut query = Query::new();
    if let Some(filters) = filters.encode() {
        query.add("filters", filters);
    }
    query
}

/// Puts the filters of the command line and those of the user's configuration together: of two labels that exclude each
/// other, the one of the command line counts.
fn filters(arguments: &Arguments, configured: &[String]) -> Filters {
    let mut filters = Filters::default();
    for (name, value) in super::images::asking(&arguments.filter) {
        filters.add(name, value);
    }
    if arguments.all || !arguments.is_narrowed() {
        filters.add("dangling", (!arguments.all).to_string());
    }
    let keep_last = arguments.keep_last.map(|count| count.to_string());
    let patterns = arguments.reference.iter().map(|pattern| ("reference", Some(pattern)));
    let own = [
        ("keep-last", keep_last.as_ref()),
        ("unused-for", arguments.unused_for.as_ref()),
        ("max-size", arguments.max_size.as_ref()),
    ];
    for (name, value) in own.into_iter().chain(patterns) {
        if let Some(value) = value {
            filters.add(name, value);
        }
    }
    for filter in configured {
        let Some((name, value)) = filter.split_once('=') else { continue };
        let opposite = match name {
            "label" => Some("label!"),
            "label!" => Some("label"),
            _ => None,
        };
        if opposite.is_none_or(|opposite| filters.values(opposite).all(|given| given != value)) {
            filters.add(name, value);
        }
    }
    filters
}

fn text(removed: &[ImageDeleted], reclaimed: u64) -> String {
    let mut text = String::new();
    if !removed.is_empty() {
        text.push_str("Deleted Images:\n");
        let line = |removed: &ImageDeleted| match removed {
            ImageDeleted::Untagged(name) => format!("untagged: {name}\n"),
            ImageDeleted::Deleted(id) => format!("deleted: {id}\n"),
        };
        text.extend(removed.iter().map(line));
        text.push('\n');
    }
    text + &format!("Total reclaimed space: {}\n", rows::bytes(reclaimed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pflag;

    fn given(words: &[&str]) -> Arguments {
        pflag::verb(words.iter().copied())
    }

    #[test]
    fn what_is_gone_is_told_as_docker_tells_it() {
        let report = r#"{"ImagesDeleted":[{"Untagged":"a:1"},{"Deleted":"sha256:1"}],"SpaceReclaimed":1982581}"#;
        let report: PruneReport = serde_json::from_str(report).unwrap();
        let expected =
            "Deleted Images:\nuntagged: a:1\ndeleted: sha256:1\n\nTotal reclaimed space: 1.983MB\n";
        assert_eq!(text(&report.images_deleted.unwrap(), report.space_reclaimed), expected);
        assert_eq!(text(&[], 0), "Total reclaimed space: 0B\n");
    }

    #[test]
    fn configured_filters_give_way() {
        let configured = ["label=keep", "label!=old=1", "until=24h", "nonsense"].map(str::to_owned);
        for (words, expected) in [
            (
                &[][..],
                r#"{"dangling":{"true":true},"label":{"keep":true},"label!":{"old=1":true},"until":{"24h":true}}"#,
            ),
            (
                &["-a", "--filter", "label!=keep", "--filter", "label=old=1"],
                r#"{"dangling":{"false":true},"label":{"old=1":true},"label!":{"keep":true},"until":{"24h":true}}"#,
            ),
        ] {
            assert_eq!(filters(&given(words), &configured).encode().unwrap(), expected);
        }
    }

    /// The daemon is told nothing of dangling images if a policy narrows, unless the user says something.
    #[test]
    fn policies_are_for_all_images() {
        for (words, is_docker, expected) in [
            (&["--dry-run"][..], false, r#"{"dangling":{"true":true}}"#),
            (&["-a", "--dry-run"], false, r#"{"dangling":{"false":true}}"#),
            (&["--filter", "dangling=false"], true, r#"{"dangling":{"false":true,"true":true}}"#),
            (&["--keep-last", "3"], false, r#"{"keep-last":{"3":true}}"#),
            (&["--filter", "keep-last=3"], false, r#"{"keep-last":{"3":true}}"#),
            (
                &["--unused-for", "30d", "--filter", "dangling=true"],
                false,
                r#"{"dangling":{"true":true},"unused-for":{"30d":true}}"#,
            ),
            (
                &["-a", "--max-size=40GB", "--reference", "a", "--reference", "b*"],
                false,
                r#"{"dangling":{"false":true},"max-size":{"40GB":true},"reference":{"a":true,"b*":true}}"#,
            ),
        ] {
            let arguments = given(words);
            assert_eq!(arguments.is_docker(), is_docker, "{words:?}");
            assert_eq!(filters(&arguments, &[]).encode().unwrap(), expected, "{words:?}");
        }
    }
}
