//! `/v2/<name>/blobs/uploads/`.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;
use spec::Digest;

use crate::error::{Code, Failure};
use crate::name::RepositoryName;
use crate::query::Query;
use crate::range;
use crate::receive::{self, Arriving, blocking};
use crate::reply::{self, Body};
use crate::route;
use crate::server::RegistryServer;
use crate::sessions::Session;
use crate::storage::{Finished, UploadId};

impl RegistryServer {
    /// `POST`: mounts a blob, takes one whole, or begins an upload.
    pub(crate) async fn post_upload(
        &self,
        repository: RepositoryName,
        query: &Query,
        body: Arriving,
    ) -> Result<Response<Body>, Failure> {
        if let Some(mount) = query.get("mount") {
            let digest = route::digest(mount)?;
            let from = query.get("from").filter(|from| !from.is_empty());
            let from = from.map(route::name).transpose()?;
            let (storage, target, blob) =
                (Arc::clone(&self.storage), repository.clone(), digest.clone());
            let mounted = move || storage.mount_blob(&target, &blob, from.as_ref());
            if blocking(mounted).await? {
                return Ok(stored(&repository, &digest));
            }
        }
        let digest = query.get("digest").map(route::digest).transpose()?;
        let (id, session) = self.begin(&repository).await?;
        let Some(digest) = digest else {
            return Ok(progress(StatusCode::ACCEPTED, &repository, &id, 0));
        };
        let done = match receive::append(session, body, None).await {
            Ok(session) => self.complete(&repository, &id, session, &digest).await,
            Err(failure) => Err(failure),
        };
        if done.is_err() {
            // Nobody has been told the upload's name.
            self.discard(&repository, &id).await?;
        }
        done
    }

    /// `GET`: says how much has arrived.
    pub(crate) async fn get_upload(
        &self,
        repository: RepositoryName,
        id: UploadId,
    ) -> Result<Response<Body>, Failure> {
        // Waits for a request that is still writing, so that the answer will hold; where that
        // takes too long, the size so far is better than none.
        let session = self.sessions.enter(&repository, &id).await;
        let (storage, target, upload) = (Arc::clone(&self.storage), repository.clone(), id.clone());
        let size = blocking(move || storage.upload_size(&target, &upload)).await?;
        drop(session);
        let Some(size) = size else {
            self.sessions.forget(&repository, &id);
            return Err(Failure::upload_unknown());
        };
        Ok(progress(StatusCode::NO_CONTENT, &repository, &id, size))
    }

    /// `PATCH`: appends to an upload.
    pub(crate) async fn patch_upload(
        &self,
        repository: RepositoryName,
        id: UploadId,
        headers: &HeaderMap,
        body: Arriving,
    ) -> Result<Response<Body>, Failure> {
        let session = self.enter_upload(&repository, &id).await?;
        let length = chunk_length(headers, &repository, &id, &session)?;
        let session = receive::append(session, body, length).await?;
        Ok(progress(StatusCode::ACCEPTED, &repository, &id, size(&session)))
    }

    /// `PUT`: appends what is left, if any, and makes the upload a blob.
    pub(crate) async fn put_upload(
        &self,
        repository: RepositoryName,
        id: UploadId,
        query: &Query,
        headers: &HeaderMap,
        body: Arriving,
    ) -> Result<Response<Body>, Failure> {
        let digest = query
            .get("digest")
            .ok_or_else(|| Failure::new(Code::DigestInvalid, "the query has no `digest`"))?;
        let digest = route::digest(digest)?;
        let session = self.enter_upload(&repository, &id).await?;
        let length = chunk_length(headers, &repository, &id, &session)?;
        let session = receive::append(session, body, length).await?;
        self.complete(&repository, &id, session, &digest).await
    }

    /// `DELETE`: gives an upload up.
    pub(crate) async fn delete_upload(
        &self,
        repository: RepositoryName,
        id: UploadId,
    ) -> Result<Response<Body>, Failure> {
        let Some(mut session) = self.sessions.enter(&repository, &id).await else {
            return Err(busy());
        };
        *session = None;
        let was_there = self.discard(&repository, &id).await?;
        if was_there {
            Ok(reply::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Failure::upload_unknown())
        }
    }

    async fn begin(&self, repository: &RepositoryName) -> Result<(UploadId, Session), Failure> {
        let (storage, target) = (Arc::clone(&self.storage), repository.clone());
        let (id, upload) = blocking(move || storage.begin_upload(&target)).await?;
        let mut session = self.sessions.enter(repository, &id).await.ok_or_else(busy)?;
        *session = Some(upload);
        Ok((id, session))
    }

    /// Becomes the only writer of an upload that exists.
    async fn enter_upload(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Result<Session, Failure> {
        let mut session = self.sessions.enter(repository, id).await.ok_or_else(busy)?;
        if session.is_none() {
            let (storage, target, upload) =
                (Arc::clone(&self.storage), repository.clone(), id.clone());
            *session = blocking(move || storage.resume_upload(&target, &upload)).await?;
        }
        if session.is_none() {
            self.sessions.forget(repository, id);
            return Err(Failure::upload_unknown());
        }
        Ok(session)
    }

    /// Makes an upload the blob `digest`, or ends it where it is another.
    async fn complete(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        mut session: Session,
        digest: &Digest,
    ) -> Result<Response<Body>, Failure> {
        let upload = session.take().ok_or_else(Failure::upload_unknown)?;
        let (storage, target, wanted) =
            (Arc::clone(&self.storage), repository.clone(), digest.clone());
        let finish = move || storage.finish_upload(&target, upload, &wanted);
        let finished = blocking(finish).await?;
        self.sessions.forget(repository, id);
        match finished {
            Finished::Stored => Ok(stored(repository, digest)),
            Finished::Mismatch(received) => Err(Failure::new(
                Code::DigestInvalid,
                "provided digest did not match uploaded content",
            )
            .detail(json!({
                "digest": digest.to_string(),
                "received": received.to_string(),
            }))),
        }
    }

    async fn discard(&self, repository: &RepositoryName, id: &UploadId) -> Result<bool, Failure> {
        let (storage, target, upload) = (Arc::clone(&self.storage), repository.clone(), id.clone());
        let removed = blocking(move || storage.cancel_upload(&target, &upload)).await?;
        self.sessions.forget(repository, id);
        Ok(removed)
    }
}

/// Reads how long a chunk is, and checks that it goes where the upload ends.
fn chunk_length(
    headers: &HeaderMap,
    repository: &RepositoryName,
    id: &UploadId,
    session: &Session,
) -> Result<Option<u64>, Failure> {
    let Some(header) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let chunk = header.to_str().ok().and_then(range::chunk).ok_or_else(|| {
        Failure::new(Code::BlobUploadInvalid, "`Content-Range` is not `<first>-<last>`")
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
    })?;
    let length = chunk.end - chunk.start;
    if chunk.start != size(session) {
        let place = progress(StatusCode::ACCEPTED, repository, id, size(session));
        return Err(Failure::new(
            Code::RangeInvalid,
            "the chunk does not begin where the upload ends",
        )
        .headers(place.headers()));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.is_some_and(|announced| announced.parse() != Ok(length)) {
        return Err(Failure::new(
            Code::SizeInvalid,
            "`Content-Length` and `Content-Range` are not of one length",
        ));
    }
    Ok(Some(length))
}

fn size(session: &Session) -> u64 {
    session.as_ref().map_or(0, crate::storage::Upload::size)
}

fn busy() -> Failure {
    Failure::new(Code::Unavailable, "another request is writing this upload")
        .header(RETRY_AFTER, HeaderValue::from_static("5"))
}

/// The response to what made the repository have a blob.
fn stored(repository: &RepositoryName, digest: &Digest) -> Response<Body> {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let mut response = reply::created(StatusCode::CREATED, &location);
    reply::set_digest(response.headers_mut(), digest);
    response
}

/// The response that says where an upload is, and how far.
fn progress(
    status: StatusCode,
    repository: &RepositoryName,
    id: &UploadId,
    size: u64,
) -> Response<Body> {
    let location = format!("/v2/{repository}/blobs/uploads/{}", id.as_str());
    let mut response = reply::created(status, &location);
    let headers = response.headers_mut();
    // There is no inclusive range of nothing; the reference registry says `0-0` as well, and its
    // clients insist on the header.
    reply::set(headers, RANGE, &format!("0-{}", size.saturating_sub(1)));
    reply::set(headers, reply::UPLOAD_UUID, id.as_str());
    response
}
