//! `GET /images/search`.

use api::Filters;
use api::search::SearchResult;
use engine::SearchRequest;
use http::StatusCode;
use registry::Caller;

use super::Answer;
use super::parameters::header_credentials;
use crate::connection::Call;
use crate::errors::Failure;
use crate::{Daemon, reply};

const FILTERS: [&str; 3] = ["is-automated", "is-official", "stars"];

/// Searches a registry.
pub(super) async fn search(daemon: &Daemon, call: &Call) -> Answer {
    let limit = match call.query.get("limit") {
        "" => 0,
        text => number(text)
            .map_err(|why| Failure::invalid(format!("invalid limit specified: {why}")))?,
    };
    let filters = Filters::decode(call.query.get("filters"))?;
    filters.validate(&FILTERS)?;
    // There are no automated ones any more.
    let automated = filters.boolean("is-automated")?.unwrap_or_default();
    let official = filters.boolean("is-official")?;
    let mut stars = None;
    for text in filters.values("stars") {
        let least = number(text)
            .map_err(|why| Failure::invalid(format!("invalid filter 'stars={text}': {why}")))?;
        stars = Some(stars.unwrap_or(0).max(least));
    }
    let found = if automated {
        Vec::new()
    } else {
        let (term, credentials) = (call.query.get("term").to_owned(), header_credentials(call));
        let caller = Caller::of_request(&call.headers);
        let request = SearchRequest { term, limit, official, stars, credentials, caller };
        daemon.engine().search(request).await?
    };
    let documents: Vec<SearchResult> = found
        .into_iter()
        .map(|found| SearchResult {
            star_count: found.star_count,
            is_official: found.is_official,
            name: found.name,
            is_automated: false,
            description: found.description,
        })
        .collect();
    Ok(reply::json(StatusCode::OK, &documents))
}

/// Reads a number in Go's way, and says in its words what is wrong with one.
fn number(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let problem = if is_number { "value out of range" } else { "invalid syntax" };
    text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: {problem}"))
}
