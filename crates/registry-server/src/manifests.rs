//! `/v2/<name>/manifests/<reference>`.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use serde_json::json;
use spec::{MAX_MANIFEST_SIZE, Manifest, MediaType};

use crate::error::{Code, Failure};
use crate::name::RepositoryName;
use crate::receive::{Arriving, blocking, collect};
use crate::reply::{self, Body};
use crate::route::Named;
use crate::server::RegistryServer;
use crate::storage::{About, Lacking, Reference, StoredManifest, digest_of};

impl RegistryServer {
    pub(crate) async fn get_manifest(
        &self,
        repository: RepositoryName,
        named: Named,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        let reference = possible(named)?;
        let (storage, wanted) = (Arc::clone(&self.storage), reference.clone());
        let manifest = blocking(move || storage.read_manifest(&repository, &wanted)).await?;
        let manifest = manifest.ok_or_else(|| Failure::manifest_unknown(&reference.to_string()))?;
        let mut response = if reply::is_known(headers, &manifest.digest) {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let length = manifest.bytes.len() as u64;
            // For HEAD, hyper leaves the body out.
            let mut response = reply::with_body(StatusCode::OK, manifest.bytes);
            reply::set_length(response.headers_mut(), length);
            reply::set(response.headers_mut(), CONTENT_TYPE, &manifest.media_type);
            response
        };
        reply::set_digest(response.headers_mut(), &manifest.digest);
        Ok(response)
    }

    pub(crate) async fn put_manifest(
        &self,
        repository: RepositoryName,
        named: Named,
        headers: &HeaderMap,
        body: Arriving,
    ) -> Result<Response<Body>, Failure> {
        let reference = match named {
            Named::Reference(reference) => reference,
            Named::Impossible(text) => {
                return Err(Failure::new(Code::TagInvalid, "neither a tag nor a digest")
                    .detail(json!({ "reference": text })));
            }
        };
        let (bytes, _memory) = collect(body, MAX_MANIFEST_SIZE, &self.documents).await?;
        let digest = digest_of(&reference, &bytes);
        let tag = match &reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(named) if *named == digest => None,
            Reference::Digest(named) => {
                return Err(Failure::new(
                    Code::DigestInvalid,
                    "provided digest did not match uploaded content",
                )
                .detail(json!({ "digest": named.to_string(), "received": digest.to_string() })));
            }
        };
        let manifest = Manifest::parse(content_type(headers).as_ref(), &bytes)
            .map_err(|error| Failure::new(Code::ManifestInvalid, error.to_string()))?;
        let about = About::parse(&bytes)
            .map_err(|error| Failure::new(Code::ManifestInvalid, error.to_string()))?;
        let subject = about.subject.as_ref().map(|subject| subject.digest.clone());

        let stored =
            StoredManifest { media_type: manifest.media_type().to_string(), digest, bytes };
        let digest = stored.digest.clone();
        let (storage, target) = (Arc::clone(&self.storage), repository.clone());
        let put = move || storage.put_manifest(&target, tag.as_ref(), &stored, &manifest, &about);
        blocking(put).await?.map_err(|found| lacking(&found))?;

        let location = format!("/v2/{repository}/manifests/{reference}");
        let mut response = reply::created(StatusCode::CREATED, &location);
        reply::set_digest(response.headers_mut(), &digest);
        if let Some(subject) = subject {
            reply::set(response.headers_mut(), reply::OCI_SUBJECT, &subject.to_string());
        }
        Ok(response)
    }

    pub(crate) async fn delete_manifest(
        &self,
        repository: RepositoryName,
        named: Named,
    ) -> Result<Response<Body>, Failure> {
        let reference = possible(named)?;
        let (storage, unwanted) = (Arc::clone(&self.storage), reference.clone());
        if blocking(move || storage.delete_manifest(&repository, &unwanted)).await? {
            Ok(reply::empty(StatusCode::ACCEPTED))
        } else {
            Err(Failure::manifest_unknown(&reference.to_string()))
        }
    }
}

/// There is no manifest with a name that cannot be.
fn possible(named: Named) -> Result<Reference, Failure> {
    match named {
        Named::Reference(reference) => Ok(reference),
        Named::Impossible(text) => Err(Failure::manifest_unknown(&text)),
    }
}

/// The media type that a manifest is sent as, without parameters.
fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(MediaType::from(text.split(';').next().unwrap_or_default().trim()))
}

fn lacking(lacking: &Lacking) -> Failure {
    if lacking.unknown.is_empty() {
        let failure = Failure::new(
            Code::ManifestInvalid,
            "a descriptor's size is not that of the blob it names",
        );
        return lacking.wrong_size.iter().fold(failure, |failure, digest| {
            failure.detail(json!({ "digest": digest.to_string() }))
        });
    }
    let failure = Failure::new(Code::ManifestBlobUnknown, "blob unknown to registry");
    lacking
        .unknown
        .iter()
        .fold(failure, |failure, digest| failure.detail(json!({ "digest": digest.to_string() })))
}
