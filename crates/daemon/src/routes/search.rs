//! `GET /images/search`.

use api::Filters;
use api::search::SearchResult;
use engine::SearchRequest;
use http::StatusCode;
use registry::Caller;

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::parameters::header_credentials;
use crate::response;

const FILTERS: [&str; 3] = ["is-automated", "is-official", "stars"];

/// Searches a registry.
pub(super) async fn search(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let limit = match request.query.get("limit") {
        "" => 0,
        text => number(text)
            .map_err(|why| HttpError::invalid(format!("invalid limit specified: {why}")))?,
    };
    let filters = Filters::decode(request.query.get("filters"))?;
    filters.validate(&FILTERS)?;
    // There are no automated ones any more.
    let automated = filters.boolean("is-automated")?.unwrap_or_default();
    let official = filters.boolean("is-official")?;
    let mut stars = None;
    for text in filters.values("stars") {
        let least = number(text)
            .map_err(|why| HttpError::invalid(format!("invalid filter 'stars={text}': {why}")))?;
        stars = Some(stars.unwrap_or(0).max(least));
    }
    let found = if automated {
        Vec::new()
    } else {
        let (term, credentials) =
            (request.query.get("term").to_owned(), header_credentials(request));
        let caller = Caller::of_request(&request.headers);
        let search = SearchRequest { term, limit, official, stars, credentials, caller };
        daemon.engine().search(search).await?
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
    Ok(response::json(StatusCode::OK, &documents))
}

/// Reads a number in Go's way, and says in its words what is wrong with one.
fn number(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let problem = if is_number { "value out of range" } else { "invalid syntax" };
    text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: {problem}"))
}
