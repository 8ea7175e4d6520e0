//! `longshore search`

use api::search::SearchResult;
use api::{Filters, Query};
use go_template::{Listing, Value};

use super::images::{asking, parse_filter};
use crate::cells::{ellipsis, row};
use crate::client::Call;
use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

const TABLE: &str = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
const HEADERS: [(&str, &str); 4] = [
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
];
/// Columns of a terminal for a description that is not shown in full.
const DESCRIPTION_WIDTH: usize = 45;

/// Search Docker Hub for images
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore search [OPTIONS] TERM")]
pub(crate) struct Arguments {
    /// Filter output based on conditions provided
    #[arg(short = 'f', long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Pretty-print search using a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "int", allow_negative_numbers = true, value_parser = parse_limit)]
    limit: Option<i64>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(hide = true, required = true, value_name = "TERM")]
    term: String,
}

fn parse_limit(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

/// Searches a registry, with the credentials for it.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut filters = Filters::default();
    for (name, value) in asking(&arguments.filter) {
        filters.add(name, value);
    }
    if filters.contains("is-automated") {
        output::warn_line(
            "WARNING: the \"is-automated\" filter is deprecated, and searching for \"is-automated=true\" will not \
             yield any results in future.",
        );
    }
    let mut query = Query::new();
    query.add("term", arguments.term.as_str());
    if let Some(limit) = arguments.limit.filter(|limit| *limit > 0) {
        query.add("limit", limit.to_string());
    }
    if let Some(filters) = filters.encode() {
        query.add("filters", filters);
    }
    let key = key_of_domain(domain(&arguments.term));
    // As Docker does: a search may do without.
    let auth = session.credentials_to_read().get(key).await.unwrap_or_default();
    let call = Call { query, registry_auth: Some(auth.encode()), ..Call::default() };
    let found: Vec<SearchResult> = session.client.get("/images/search", call).await?.json().await?;
    output::print(&text(&arguments, &found)?)
}

/// Returns the registry that a term begins with.
fn domain(term: &str) -> &str {
    match term.split_once('/') {
        Some((index, _)) if index.contains(['.', ':']) || index == "localhost" => index,
        _ => "docker.io",
    }
}

/// Returns the list as text.
fn text(arguments: &Arguments, found: &[SearchResult]) -> Result<String, CliError> {
    let format = match arguments.format.as_deref().unwrap_or_default() {
        "" | "table" => TABLE,
        format => format,
    };
    let is_json = format == "json" || format.contains("{{json .}}");
    let truth = |value: bool| match (value, is_json) {
        (_, true) => value.to_string(),
        (true, false) => "[OK]".to_owned(),
        (false, false) => String::new(),
    };
    let rows = found.iter().map(|found| {
        let description = found.description.replace(['\n', '\r'], " ");
        let description = if arguments.no_trunc {
            description
        } else {
            ellipsis(&description, DESCRIPTION_WIDTH)
        };
        let fields = [
            ("Name", found.name.clone()),
            ("Description", description),
            ("StarCount", found.star_count.to_string()),
            ("IsOfficial", truth(found.is_official)),
        ];
        row("*registry.searchContext", fields)
    });
    let rows: Vec<Value> = rows.collect();
    Ok(Listing { format, headers: &HEADERS }.render(&rows)?)
}
