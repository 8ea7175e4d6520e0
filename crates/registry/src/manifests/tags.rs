//! The list of a repository's tags.

use serde::Deserialize;
use spec::Tag;

use crate::{
    RegistryError, Remote,
    auth::session::Session,
    error::redact,
    hosts::access::Need,
    manifests::pages::{List, PAGE},
};

/// A thousand of the longest tags are an eighth of a page's bytes.
const TAGS: List = List {
    name: "list of tags",
    entries: "tags",
    accept: None,
    max_page_size: 1 << 20,
    max_pages: 1000,
    max_entries: 1_000_000,
    enough: usize::MAX,
};

#[derive(Deserialize)]
struct Page {
    /// `null` if there are none.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Remote {
    /// Returns all tags, in the registry's order.
    pub async fn tags(&self) -> Result<Vec<Tag>, RegistryError> {
        self.first_tags(usize::MAX).await
    }

    /// Returns the first pages of tags, until there are so many.
    pub async fn first_tags(&self, enough: usize) -> Result<Vec<Tag>, RegistryError> {
        let list = List { enough, ..TAGS };
        let asked =
            self.ask(Need::Resolve, |session| async move { self.tags_at(&session, list).await });
        Ok(asked.await?.0)
    }

    async fn tags_at(&self, session: &Session, list: List) -> Result<Vec<Tag>, RegistryError> {
        let path = format!("{}/tags/list", self.repository().path());
        let mut url = session.endpoint.reading_url(&path);
        url.query_pairs_mut().append_pair("n", &PAGE.to_string());
        let mut tags = Vec::new();
        let take = |page: Page, from: &str| {
            let names = page.tags.unwrap_or_default();
            let count = names.len();
            for tag in names {
                tags.push(tag.parse().map_err(|source| RegistryError::Tag {
                    tag: redact::clean(&tag, 256),
                    url: from.to_owned(),
                    source,
                })?);
            }
            Ok(count)
        };
        list.read(session, url, take).await?;
        Ok(tags)
    }
}
