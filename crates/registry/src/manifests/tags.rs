//! The list of a repository's tags.

use std::collections::HashSet;

use http::{StatusCode, header};
use reqwest::{Method, Url};
use serde::Deserialize;
use spec::Tag;

use crate::{
    RegistryError, Remote, auth::session::Session, error::redact, hosts::access::Need,
    http::endpoint::Call, http::links, manifests::document,
};

/// Tags asked for at once; no registry gives more.
const PAGE: usize = 1000;
/// The most bytes of one page: a thousand of the longest tags are an eighth of it.
const MAX_PAGE_SIZE: u64 = 1 << 20;
/// The most pages, and with them tags, of one list.
const MAX_PAGES: usize = 1000;
/// The most tags of one list; a registry may ignore what was asked for.
const MAX_TAGS: usize = 1_000_000;

#[derive(Deserialize)]
struct Page {
    /// `null` if there are none.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Remote {
    /// Returns all tags, in the registry's order.
    pub async fn tags(&self) -> Result<Vec<Tag>, RegistryError> {
        let asked = self.ask(Need::Resolve, |session| async move { self.tags_at(&session).await });
        Ok(asked.await?.0)
    }

    async fn tags_at(&self, session: &Session) -> Result<Vec<Tag>, RegistryError> {
        let list = session.endpoint.reading_url(&format!("{}/tags/list", self.repository().path()));
        let shown = redact::shown(&list);
        let too_many = |what, limit| RegistryError::TooManyTags { url: shown.clone(), what, limit };
        let mut url = list.clone();
        url.query_pairs_mut().append_pair("n", &PAGE.to_string());
        let mut seen = HashSet::from([url.clone()]);
        let mut tags = Vec::new();
        loop {
            let answer = session.send(Call::new(Method::GET, url.clone())).await?;
            let answer = answer.expect(&[StatusCode::OK]).await?;
            let mut links = answer.headers().get_all(header::LINK).iter();
            let next = links.find_map(|value| next_page(value.to_str().ok()?));
            let from = answer.url.clone();
            let body = document(answer, "list of tags", MAX_PAGE_SIZE).await?;
            let page: Page = spec::from_go_json(&body)
                .map_err(|source| RegistryError::Json { url: from.clone(), source })?;
            for tag in page.tags.unwrap_or_default() {
                tags.push(tag.parse().map_err(|source| RegistryError::Tag {
                    tag: redact::clean(&tag, 256),
                    url: from.clone(),
                    source,
                })?);
            }
            if tags.len() > MAX_TAGS {
                return Err(too_many("tags", MAX_TAGS));
            }
            let Some(link) = next else { return Ok(tags) };
            url = follow(session, &url, &link)?;
            if !seen.insert(url.clone()) {
                return Err(RegistryError::Link { link: redact::shown(&url) });
            }
            if seen.len() > MAX_PAGES {
                return Err(too_many("pages", MAX_PAGES));
            }
        }
    }
}

/// Resolves a link, which leads to another page of the same registry: whatever scheme and host it names, as registries
/// behind proxies know theirs badly, only path and query count.
fn follow(session: &Session, page: &Url, link: &str) -> Result<Url, RegistryError> {
    let Some(next) = links::resolve(page, link) else {
        return Err(RegistryError::Link { link: redact::clean(link, 256) });
    };
    let mut url = session.endpoint.host.base.clone();
    url.set_path(next.path());
    url.set_query(next.query());
    Ok(url)
}

/// Returns the target of the link to the next page (RFC 8288): `</v2/x/tags/list?last=b&n=2>; rel="next"`.
///
/// A link without a relation is taken for it, as Docker does.
fn next_page(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        // Parameters go on to the next link.
        let end = after.find('<').unwrap_or(after.len());
        let parameters = &after[..end];
        let relation = parameters.split([';', ',']).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
        });
        if relation.is_none_or(|relation| relation.eq_ignore_ascii_case("next")) {
            return Some(target.to_owned());
        }
        rest = &after[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_page() {
        for (value, expected) in [
            (r#"</v2/x/tags/list?last=b&n=2>; rel="next""#, Some("/v2/x/tags/list?last=b&n=2")),
            ("</a>;rel=next", Some("/a")),
            ("</a>; REL=Next", Some("/a")),
            ("</a>", Some("/a")),
            (r#"</a>; rel="prev""#, None),
            (r#"</a>; rel="prev", </b>; rel="next""#, Some("/b")),
            (r#"</a,b;c>; title="x"; rel="next""#, Some("/a,b;c")),
            ("</a", None),
            ("", None),
        ] {
            assert_eq!(next_page(value).as_deref(), expected, "{value}");
        }
    }
}
