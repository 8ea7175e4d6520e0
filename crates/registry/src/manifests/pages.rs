//! Lists that a registry gives page by page.

use std::collections::HashSet;

use http::{StatusCode, header};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use crate::{
    RegistryError, auth::session::Session, error::redact, http::endpoint::Call, http::links,
    manifests::document,
};

/// Entries asked for at once; no registry gives more.
pub(crate) const PAGE: usize = 1000;

/// A kind of list, with its bounds.
#[derive(Clone, Copy)]
pub(crate) struct List {
    /// Its name in errors: `list of tags`.
    pub(crate) name: &'static str,
    /// The name of its entries: `tags`.
    pub(crate) entries: &'static str,
    /// The type that is asked for, if it is not just any JSON.
    pub(crate) accept: Option<&'static str>,
    /// The most bytes of one page.
    pub(crate) max_page_size: u64,
    pub(crate) max_pages: usize,
    /// The most entries; a registry may ignore what was asked for.
    pub(crate) max_entries: usize,
    /// The entries after which no further page is asked for.
    pub(crate) enough: usize,
}

impl List {
    /// Reads all pages, from `first` on. `take` gets each, with the URL that it is from, and returns how many entries it has.
    pub(crate) async fn read<P: DeserializeOwned>(
        &self,
        session: &Session,
        first: Url,
        mut take: impl FnMut(P, &str) -> Result<usize, RegistryError>,
    ) -> Result<(), RegistryError> {
        let shown = redact::shown(&first);
        let too_long = |what, limit| RegistryError::ListTooLong {
            list: self.name,
            url: shown.clone(),
            what,
            limit,
        };
        let mut seen = HashSet::from([first.clone()]);
        let (mut url, mut count) = (first, 0_usize);
        loop {
            let mut call = Call::new(Method::GET, url.clone());
            if let Some(accept) = self.accept {
                call = call.header(header::ACCEPT, accept);
            }
            let answer = session.send(call).await?.expect(&[StatusCode::OK]).await?;
            let mut links = answer.headers().get_all(header::LINK).iter();
            let next = links.find_map(|value| next_page(value.to_str().ok()?));
            let from = answer.url.clone();
            let body = document(answer, self.name, self.max_page_size).await?;
            let page: P = spec::from_go_json(&body)
                .map_err(|source| RegistryError::Json { url: from.clone(), source })?;
            count = count.saturating_add(take(page, &from)?);
            if count > self.max_entries {
                return Err(too_long(self.entries, self.max_entries));
            }
            let Some(link) = next.filter(|_| count < self.enough) else { return Ok(()) };
            url = self.follow(session, &url, &link)?;
            if !seen.insert(url.clone()) {
                return Err(self.astray(redact::shown(&url)));
            }
            if seen.len() > self.max_pages {
                return Err(too_long("pages", self.max_pages));
            }
        }
    }

    /// Resolves a link, which leads to another page of the same registry: whatever scheme and host it names, as registries
    /// behind proxies know theirs badly, only path and query count.
    fn follow(&self, session: &Session, page: &Url, link: &str) -> Result<Url, RegistryError> {
        let Some(next) = links::resolve(page, link) else {
            return Err(self.astray(redact::clean(link, 256)));
        };
        let mut url = session.endpoint.host.base.clone();
        url.set_path(next.path());
        url.set_query(next.query());
        Ok(url)
    }

    fn astray(&self, link: String) -> RegistryError {
        RegistryError::Link { list: self.name, link }
    }
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
