//! The list of a registry's repositories.

use std::sync::Arc;

use serde::Deserialize;
use spec::Repository;

use crate::{
    Access, Client, Credentials, Recovery, RegistryError,
    auth::session::Session,
    error::redact,
    manifests::pages::{List, PAGE},
};

/// The scope of a token for it.
const SCOPE: &str = "registry:catalog:*";
/// A thousand of the longest names are a quarter of a page's bytes. All names are held at once: the most of them are some
/// 60 MiB, and more than Docker's registry lists in any reasonable time, which walks through its storage for each page.
const CATALOG: List = List {
    name: "list of repositories",
    entries: "repositories",
    accept: None,
    max_page_size: 1 << 20,
    max_pages: 1000,
    max_entries: 250_000,
    enough: usize::MAX,
};

#[derive(Deserialize)]
struct Page {
    /// `null` if there are none.
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

impl Client {
    /// Returns all repositories of a registry, in its order. Mirrors are not asked: they know of what was asked of them.
    ///
    /// Many registries have no such list, Docker Hub among them.
    pub async fn catalog(
        &self,
        registry: &str,
        credentials: &Credentials,
    ) -> Result<Vec<Repository>, RegistryError> {
        let mut last = RegistryError::NoEndpoint { host: registry.to_owned() };
        let mut candidates = self.candidates(registry, Access::Pull).await?;
        candidates.retain(|candidate| !candidate.is_mirror());
        for candidate in candidates {
            let endpoint = Arc::clone(&candidate.endpoint);
            let lookup = self.credential_lookup(&endpoint, Some(credentials));
            match Session::open(endpoint, lookup, Some(SCOPE.to_owned()), self.tokens()).await {
                Ok(session) => {
                    self.learn(&candidate, registry);
                    return catalog(&session, registry).await;
                }
                Err(error) if error.recovery() == Recovery::NextEndpoint => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

async fn catalog(session: &Session, registry: &str) -> Result<Vec<Repository>, RegistryError> {
    let bare = session.endpoint.url("_catalog");
    let mut url = bare.clone();
    url.query_pairs_mut().append_pair("n", &PAGE.to_string());
    match read(session, registry, url).await {
        // Docker's registry refuses a number that is larger than its setting.
        Err(error) if error.is_page_too_large() => read(session, registry, bare).await,
        outcome => outcome,
    }
}

async fn read(
    session: &Session,
    registry: &str,
    first: reqwest::Url,
) -> Result<Vec<Repository>, RegistryError> {
    let mut repositories = Vec::new();
    let take = |page: Page, from: &str| {
        let names = page.repositories.unwrap_or_default();
        let count = names.len();
        for name in names {
            let parsed = Repository::parse_familiar(&format!("{registry}/{name}"));
            repositories.push(parsed.map_err(|source| RegistryError::Name {
                name: redact::clean(&name, 256),
                url: from.to_owned(),
                source,
            })?);
        }
        Ok(count)
    };
    CATALOG.read(session, first, take).await?;
    Ok(repositories)
}
