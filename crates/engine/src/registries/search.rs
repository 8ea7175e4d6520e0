//! `search`: what a registry finds.

use registry::{Caller, Credentials, SearchResult};

use crate::{Engine, EngineError, Result};

/// An order to search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// Words, behind the host of a registry that is not Docker Hub.
    pub term: String,
    /// The most results, up to 100; 0 means 25.
    pub limit: i64,
    /// Only official ones, or only others.
    pub official: Option<bool>,
    /// Only those that so many people like.
    pub stars: Option<i64>,
    /// For the registry.
    pub credentials: Credentials,
    /// On whose behalf the registry is asked.
    pub caller: Caller,
}

impl Engine {
    /// Searches a registry.
    pub async fn search(&self, request: SearchRequest) -> Result<Vec<SearchResult>> {
        let SearchRequest { term, limit, official, stars, credentials, caller } = request;
        let client = self.network().client.on_behalf_of(caller);
        let mut found =
            client.search(&term, limit, &credentials).await.map_err(EngineError::Search)?;
        found.retain(|result| {
            official.is_none_or(|official| result.is_official == official)
                && stars.is_none_or(|stars| result.star_count >= stars)
        });
        Ok(found)
    }
}
