//! `/v2/_catalog`, `/v2/<name>/tags/list` and `/v2/<name>/referrers/<digest>`.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;
use spec::{Digest, MediaType};

use crate::error::{Code, Failure};
use crate::name::RepositoryName;
use crate::query::{Query, encode};
use crate::receive::blocking;
use crate::reply::{self, Body};
use crate::server::RegistryServer;

/// Names in one page: what a client gets that does not ask for a number, and the most that one
/// gets that does. With names of 255 bytes a page stays within what clients read.
const MAX_PAGE: usize = 1000;

impl RegistryServer {
    pub(crate) async fn list_tags(
        &self,
        repository: RepositoryName,
        query: &Query,
    ) -> Result<Response<Body>, Failure> {
        let (count, last) = page(query)?;
        let (storage, listed) = (Arc::clone(&self.storage), repository.clone());
        let tags = blocking(move || storage.list_tags(&listed, last.as_deref(), count)).await?;
        let tags = tags.ok_or_else(|| {
            Failure::new(Code::NameUnknown, "repository name not known to registry")
                .detail(json!({ "name": repository.as_str() }))
        })?;
        let document = json!({ "name": repository.as_str(), "tags": tags.items });
        let mut response = reply::json(StatusCode::OK, &document);
        let path = format!("/v2/{repository}/tags/list?n={count}");
        link(&mut response, &path, tags.next.as_deref());
        Ok(response)
    }

    pub(crate) async fn list_repositories(&self, query: &Query) -> Result<Response<Body>, Failure> {
        let (count, last) = page(query)?;
        let storage = Arc::clone(&self.storage);
        let names = blocking(move || storage.list_repositories(last.as_deref(), count)).await?;
        let mut response = reply::json(StatusCode::OK, &json!({ "repositories": names.items }));
        link(&mut response, &format!("/v2/_catalog?n={count}"), names.next.as_deref());
        Ok(response)
    }

    pub(crate) async fn list_referrers(
        &self,
        repository: RepositoryName,
        subject: Digest,
        query: &Query,
    ) -> Result<Response<Body>, Failure> {
        let filter = query.get("artifactType").filter(|filter| !filter.is_empty());
        let filter = filter.map(str::to_owned);
        let last = query.get("last").map(str::to_owned);
        let path = match &filter {
            Some(filter) => format!("artifactType={}&", encode(filter)),
            None => String::new(),
        };
        let path = format!("/v2/{repository}/referrers/{subject}?{path}");
        let filtered = filter.is_some();
        let storage = Arc::clone(&self.storage);
        let referrers = blocking(move || {
            storage.list_referrers(&repository, &subject, filter.as_deref(), last.as_deref())
        })
        .await?;
        let mut response = reply::json(
            StatusCode::OK,
            &Index {
                schema_version: 2,
                media_type: MediaType::OciIndex,
                manifests: referrers.items,
            },
        );
        let media_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        if filtered {
            let filters = HeaderValue::from_static("artifactType");
            response.headers_mut().insert(reply::OCI_FILTERS, filters);
        }
        link(&mut response, path.trim_end_matches('&'), referrers.next.as_deref());
        Ok(response)
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: MediaType,
    manifests: Vec<Box<serde_json::value::RawValue>>,
}

/// Reads which page is asked for: how many names, and after which.
fn page(query: &Query) -> Result<(usize, Option<String>), Failure> {
    let count = match query.get("n") {
        None => MAX_PAGE,
        Some(text) => text.parse().map(|count: usize| count.min(MAX_PAGE)).map_err(|_| {
            Failure::new(Code::PaginationNumberInvalid, "`n` is not a number")
                .detail(json!({ "n": text }))
        })?,
    };
    Ok((count, query.get("last").map(str::to_owned)))
}

/// Says where the next page is (RFC 8288).
fn link(response: &mut Response<Body>, path: &str, last: Option<&str>) {
    if let Some(last) = last {
        let separator = if path.ends_with('?') { "" } else { "&" };
        let value = format!("<{path}{separator}last={}>; rel=\"next\"", encode(last));
        reply::set(response.headers_mut(), LINK, &value);
    }
}
