//! Searches, by the first version of the registry protocol: all that is left of it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use crate::{
    Client, Credentials, RegistryError,
    auth::credentials::{CredentialLookup, basic_header},
    auth::session::Session,
    hosts::candidate::Candidate,
    http::endpoint::{Call, Endpoint},
};

/// The index of Docker Hub. A stand-in for its registry is searched, too.
const HUB: &str = "https://index.docker.io/";
/// The most results that can be asked for, and how many there are when nothing is said.
const MAX_LIMIT: i64 = 100;
const DEFAULT_LIMIT: i64 = 25;
/// The largest answer: a hundred results of 40 KiB each.
const MAX_ANSWER: u64 = 4 << 20;
/// Has a registry of this kind look at the credentials.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-docker-token");

/// A repository that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    /// The number of its stars.
    #[serde(deserialize_with = "null_is_nothing")]
    pub star_count: i64,
    /// True if it is one of Docker's own.
    #[serde(deserialize_with = "null_is_nothing")]
    pub is_official: bool,
    /// The repository, as it is pulled.
    #[serde(deserialize_with = "null_is_nothing")]
    pub name: String,
    /// A line from its owner.
    #[serde(deserialize_with = "null_is_nothing")]
    pub description: String,
}

/// Go reads `null` as nothing, whatever is expected.
fn null_is_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    results: Option<Vec<SearchResult>>,
}

impl Client {
    /// Searches Docker Hub, or the registry that `term` begins with. `limit` is from 1 to 100; 0 means 25.
    pub async fn search(
        &self,
        term: &str,
        limit: i64,
        credentials: &Credentials,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        if term.contains("://") {
            return Err(RegistryError::SearchScheme { term: term.to_owned() });
        }
        let (index, term) = split(term);
        let endpoint = match index {
            None => self.hub_index().await?,
            Some(index) => self.private_index(index).await?,
        };
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(RegistryError::SearchLimit { limit });
        }
        let term =
            if index.is_none() { term.strip_prefix("library/").unwrap_or(term) } else { term };
        let mut url = page(&endpoint, "search");
        url.query_pairs_mut().append_pair("q", term).append_pair("n", &limit.to_string());
        // Somebody waits for it, and may ask again.
        let call = Call::new(Method::GET, url).header(TOKEN_HEADER, "true").at_once();
        let answer = self.ask_index(endpoint, call, credentials).await?;
        if answer.status() != StatusCode::OK {
            return Err(RegistryError::SearchStatus { status: answer.status().as_u16() });
        }
        let body = answer.collect("search results", MAX_ANSWER).await?;
        let answer: Answer =
            spec::from_go_json(&body).map_err(|source| RegistryError::SearchResults { source })?;
        Ok(answer.results.unwrap_or_default())
    }

    async fn ask_index(
        &self,
        endpoint: Arc<Endpoint>,
        mut call: Call,
        credentials: &Credentials,
    ) -> Result<crate::http::transport::Answer, RegistryError> {
        if let Credentials::IdentityToken { username, .. } = credentials
            && !username.is_empty()
        {
            let (lookup, scope) =
                (CredentialLookup::given(credentials.clone()), "registry:catalog:search");
            let session =
                Session::open(endpoint, lookup, Some(scope.to_owned()), self.tokens()).await?;
            return session.send(call).await;
        }
        let header = match credentials {
            Credentials::Basic { username, password } if !username.is_empty() => {
                HeaderValue::from_str(&basic_header(username, password)).ok()
            }
            _ => None,
        };
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        endpoint.exchange(&mut call, header.as_ref(), false).await
    }

    async fn hub_index(&self) -> Result<Arc<Endpoint>, RegistryError> {
        if self.has_own_hub()
            && let Some(stand_in) = self.own_candidates("docker.io").await?.into_iter().next()
        {
            return Ok(stand_in.endpoint);
        }
        let url =
            Url::parse(HUB).map_err(|_| RegistryError::NoEndpoint { host: HUB.to_owned() })?;
        self.plain_endpoint(&url).await
    }

    /// Finds out how another index is reached: by HTTPS, or if it is an insecure one, also by HTTP.
    async fn private_index(&self, index: &str) -> Result<Arc<Endpoint>, RegistryError> {
        let mut candidates = self.own_candidates(index).await?;
        // HTTPS first, whatever is remembered.
        candidates.sort_by_key(|candidate| candidate.endpoint.scheme() == "http");
        let mut failures = Vec::new();
        for Candidate { endpoint, .. } in candidates {
            let url = page(&endpoint, "_ping");
            match endpoint.exchange(&mut Call::new(Method::GET, url).at_once(), None, false).await {
                Ok(answer) => {
                    answer.discard().await;
                    return Ok(endpoint);
                }
                Err(error) => failures.push((page(&endpoint, ""), error)),
            }
        }
        let host = index.to_owned();
        let mut failures = failures.into_iter();
        Err(match (failures.next(), failures.next()) {
            (Some((_, https)), Some((endpoint, http))) => RegistryError::InsecureIndex {
                endpoint: endpoint.to_string(),
                https: Box::new(https),
                http: Box::new(http),
            },
            (Some((endpoint, failure)), None) => RegistryError::SecureIndex {
                endpoint: endpoint.to_string(),
                host,
                failure: Box::new(failure),
            },
            (None, _) => RegistryError::NoEndpoint { host },
        })
    }
}

fn page(endpoint: &Endpoint, path: &str) -> Url {
    let mut url = endpoint.host.base.clone();
    url.set_path(&format!("{}v1/{path}", endpoint.host.base.path()));
    url
}

/// Tells the index from what is searched there; `None` is Docker Hub.
fn split(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((index, rest)) if index.contains(['.', ':']) || index == "localhost" => {
            let is_hub = matches!(index, "docker.io" | "index.docker.io");
            ((!is_hub).then_some(index), rest)
        }
        _ => (None, term),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_may_begin_with_an_index() {
        for (term, expected) in [
            ("busybox", (None, "busybox")),
            ("me/busybox", (None, "me/busybox")),
            ("docker.io/me/x", (None, "me/x")),
            ("index.docker.io/x", (None, "x")),
            ("localhost/x", (Some("localhost"), "x")),
            ("r.example/a/b", (Some("r.example"), "a/b")),
            ("127.0.0.1:5000/", (Some("127.0.0.1:5000"), "")),
            ("", (None, "")),
        ] {
            assert_eq!(split(term), expected, "{term}");
        }
    }
}
