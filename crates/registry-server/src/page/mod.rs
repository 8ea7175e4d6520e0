//! `GET /`: the registry for people. Whoever may read `/v2/` may read it: it shows nothing else.

mod facts;
mod html;
mod views;

use std::sync::Arc;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::error::Failure;
use crate::query::Query;
use crate::receive::blocking;
use crate::reply::{self, Body};
use crate::route;
use crate::server::RegistryServer;
use facts::{Facts, Wanted};

/// Nothing is loaded and nothing runs; of styles only the page's own, by its hash, count.
const POLICY: &str = "default-src 'none'; style-src 'sha256-9co3wR9bvXdi+tguPK0Boq76C757v6k1WrjF8lYT7pI='; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

impl RegistryServer {
    pub(crate) async fn show_page(
        &self,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        let wanted = wanted(query)?;
        let storage = Arc::clone(&self.storage);
        let facts = blocking(move || facts::gather(&storage, wanted)).await?;
        let status =
            if matches!(facts, Facts::Nothing) { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let mut response = reply::with_body(status, views::page(&facts, host(headers)).into());
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-store"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

fn wanted(query: &Query) -> Result<Wanted, Failure> {
    let last = query.get("last").map(str::to_owned);
    let Some(name) = query.get("repository") else { return Ok(Wanted::Repositories { last }) };
    let name = route::name(name)?;
    Ok(match query.get("reference") {
        None => Wanted::Tags { name, last },
        Some(text) => {
            let reference = text.parse().map_err(|_| Failure::manifest_unknown(text))?;
            Wanted::Image { name, reference }
        }
    })
}

/// The name by which the client reaches this registry, if it can be the beginning of an image's.
fn host(headers: &HeaderMap) -> &str {
    let said = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_host = said.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if is_host && !said.is_empty() { said } else { "registry" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_style() {
        let digest = spec::Digest::sha256(views::STYLE.as_bytes()).hex();
        let hex = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digest.as_bytes().chunks(2).map(hex).collect();
        // That of URLs has other characters for two of them.
        let encoded = test_support::base64::encode(bytes).replace('-', "+").replace('_', "/");
        let expected = format!("'sha256-{encoded}'");
        assert!(POLICY.contains(&expected), "{expected}");
    }

    #[test]
    fn only_a_host_is_shown_as_one() {
        for (said, expected) in [
            ("a.b:5000", "a.b:5000"),
            ("[::1]:1", "[::1]:1"),
            ("<b>", "registry"),
            ("", "registry"),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(said))]);
            assert_eq!(host(&headers), expected);
        }
    }
}
