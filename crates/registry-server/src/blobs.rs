//! `/v2/<name>/blobs/<digest>`.

use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use spec::Digest;

use crate::error::{Code, Failure};
use crate::name::RepositoryName;
use crate::range::{Wanted, wanted};
use crate::receive::blocking;
use crate::reply::{self, Body};
use crate::server::RegistryServer;

impl RegistryServer {
    pub(crate) async fn get_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
        method: &Method,
        headers: &HeaderMap,
        piece: usize,
    ) -> Result<Response<Body>, Failure> {
        let (storage, wanted_digest) = (Arc::clone(&self.storage), digest.clone());
        let blob = blocking(move || storage.open_blob(&repository, &wanted_digest)).await?;
        let blob = blob.ok_or_else(|| Failure::blob_unknown(&digest))?;

        if reply::is_known(headers, &digest) {
            let mut response = reply::empty(StatusCode::NOT_MODIFIED);
            reply::set_digest(response.headers_mut(), &digest);
            return Ok(response);
        }
        let range = match wanted(range_header(headers, &digest), blob.size) {
            // RFC 9110, 14.2: a range is defined for GET alone.
            _ if method != Method::GET => None,
            Wanted::Whole => None,
            Wanted::Part(range) => Some(range),
            Wanted::Unsatisfiable => {
                let mut headers = HeaderMap::new();
                reply::set(&mut headers, CONTENT_RANGE, &format!("bytes */{}", blob.size));
                return Err(Failure::new(Code::RangeInvalid, "range is outside of the blob")
                    .headers(&headers));
            }
        };
        let (status, part) = match &range {
            Some(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
            None => (StatusCode::OK, 0..blob.size),
        };
        let length = part.end - part.start;
        let mut response = reply::empty(status);
        if method == Method::GET {
            *response.body_mut() = reply::stream_file(blob.file, part, piece);
        }
        let headers = response.headers_mut();
        if let Some(range) = range {
            let value = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.size);
            reply::set(headers, CONTENT_RANGE, &value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        reply::set_length(headers, length);
        reply::set_digest(headers, &digest);
        Ok(response)
    }

    pub(crate) async fn delete_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
    ) -> Result<Response<Body>, Failure> {
        let (storage, unwanted) = (Arc::clone(&self.storage), digest.clone());
        if blocking(move || storage.delete_blob(&repository, &unwanted)).await? {
            Ok(reply::empty(StatusCode::ACCEPTED))
        } else {
            Err(Failure::blob_unknown(&digest))
        }
    }
}

/// The `Range` header, unless its `If-Range` is about other content.
fn range_header<'a>(headers: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let matches = headers.get(IF_RANGE).is_none_or(|tag| *tag == *reply::etag(digest));
    headers.get(RANGE).filter(|_| matches)?.to_str().ok()
}
