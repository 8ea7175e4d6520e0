//! `longshore prune` and `longshore image prune`

use api::image::{ImageDeleted, PruneReport};
use api::{Filters, Query};
use spec::go::{PROGRESS_DIGITS, human_size};

use crate::client::Call;
use crate::error::CliError;
use crate::input;
use crate::output;
use crate::session::Session;

const ALL_WARNING: &str =
    "WARNING! This will remove all images without at least one container associated to them.";
const DANGLING_WARNING: &str = "WARNING! This will remove all dangling images.";

/// Remove unused images
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
}

/// Removes unused images, once the user has agreed.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    if !arguments.force {
        let warning = if arguments.all { ALL_WARNING } else { DANGLING_WARNING };
        let question = format!("{warning}\nAre you sure you want to continue? [y/N] ");
        // Docker says nothing to a "no", and does not call it a failure.
        if !input::ask(&question).await?.eq_ignore_ascii_case("y") {
            return Ok(());
        }
    }
    let configured = session.credentials_to_read().file().prune_filters();
    let filters = filters(&arguments, &configured);
    let mut query = Query::new();
    if let Some(filters) = filters.encode() {
        query.add("filters", filters);
    }
    let report: PruneReport =
        session.client.post("/images/prune", Call::query(query)).await?.json().await?;
    output::print(&text(&report))
}

/// Puts the filters of the command line and those of the user's configuration together: of two labels that exclude each
/// other, the one of the command line counts.
fn filters(arguments: &Arguments, configured: &[String]) -> Filters {
    let mut filters = Filters::default();
    for (name, value) in &arguments.filter {
        filters.add(name, value);
    }
    filters.add("dangling", (!arguments.all).to_string());
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

fn text(report: &PruneReport) -> String {
    let mut text = String::new();
    let removed = report.images_deleted.as_deref().unwrap_or_default();
    if !removed.is_empty() {
        text.push_str("Deleted Images:\n");
        let line = |removed: &ImageDeleted| match removed {
            ImageDeleted::Untagged(name) => format!("untagged: {name}\n"),
            ImageDeleted::Deleted(id) => format!("deleted: {id}\n"),
        };
        text.extend(removed.iter().map(line));
        text.push('\n');
    }
    let size = i64::try_from(report.space_reclaimed).unwrap_or(i64::MAX);
    text + &format!("Total reclaimed space: {}\n", human_size(size, PROGRESS_DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_told_as_docker_tells_it() {
        let report = r#"{"ImagesDeleted":[{"Untagged":"a:1"},{"Deleted":"sha256:1"}],"SpaceReclaimed":1982581}"#;
        let expected =
            "Deleted Images:\nuntagged: a:1\ndeleted: sha256:1\n\nTotal reclaimed space: 1.983MB\n";
        assert_eq!(text(&serde_json::from_str(report).unwrap()), expected);
        let nothing = r#"{"ImagesDeleted":null,"SpaceReclaimed":0}"#;
        assert_eq!(text(&serde_json::from_str(nothing).unwrap()), "Total reclaimed space: 0B\n");
    }

    #[test]
    fn configured_filters_give_way() {
        let given = |filters: &[(&str, &str)], all| Arguments {
            all,
            filter: filters.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            force: true,
        };
        let configured = ["label=keep", "label!=old=1", "until=24h", "nonsense"].map(str::to_owned);
        for (arguments, expected) in [
            (
                given(&[], false),
                r#"{"dangling":{"true":true},"label":{"keep":true},"label!":{"old=1":true},"until":{"24h":true}}"#,
            ),
            (
                given(&[("label!", "keep"), ("label", "old=1")], true),
                r#"{"dangling":{"false":true},"label":{"old=1":true},"label!":{"keep":true},"until":{"24h":true}}"#,
            ),
        ] {
            assert_eq!(filters(&arguments, &configured).encode().unwrap(), expected);
        }
    }
}
