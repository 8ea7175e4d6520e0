//! Request bodies: into memory, bounded, or into an upload while they arrive.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::task::JoinHandle;

use crate::error::{Code, Failure, ServerError};
use crate::sessions::Session;

/// Bytes that are hashed and written in one go, on a blocking thread, while the next are received.
/// An upload thus holds about twice this in memory.
const BATCH_SIZE: usize = 512 << 10;

/// A client that sends nothing for so long is gone.
const STALL: Duration = Duration::from_mins(1);

/// Runs blocking work on the threads for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, Failure> {
    joined(tokio::task::spawn_blocking(work)).await
}

async fn joined<T, E: Into<Failure>>(work: JoinHandle<Result<T, E>>) -> Result<T, Failure> {
    match work.await {
        Ok(result) => result.map_err(Into::into),
        Err(panicked) => {
            tracing::error!(%panicked, "a request's work panicked");
            Err(Failure::new(Code::Unknown, "internal error"))
        }
    }
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn collect(body: Incoming, limit: u64) -> Result<Bytes, Failure> {
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let collected = tokio::time::timeout(STALL, Limited::new(body, size).collect()).await;
    match collected.map_err(|_| stalled())? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::new(Code::SizeInvalid, format!("more than the {limit} bytes allowed"))
                .status(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Err(error) => Err(cut(&*error)),
    }
}

/// Appends a body to an upload, and gives the upload back. No more than `limit` bytes are taken.
///
/// This runs as a task of its own, so that what has arrived is written even where the connection,
/// and with it the request, is dropped in the middle: the client may go on from there.
pub(crate) async fn append(
    session: Session,
    body: Incoming,
    limit: Option<u64>,
) -> Result<Session, Failure> {
    joined(tokio::spawn(append_all(session, body, limit))).await
}

async fn append_all(
    session: Session,
    mut body: Incoming,
    limit: Option<u64>,
) -> Result<Session, Failure> {
    let mut room = limit.unwrap_or(u64::MAX);
    let mut writer = Writer::Idle(session);
    let mut batch = Vec::new();
    let mut size = 0;
    let end = loop {
        let data = match tokio::time::timeout(STALL, body.frame()).await {
            Err(_) => break Err(stalled()),
            Ok(None) => break Ok(()),
            Ok(Some(Err(error))) => break Err(cut(&error)),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        let Some(left) = room.checked_sub(data.len() as u64) else {
            break Err(Failure::new(Code::SizeInvalid, "more bytes than `Content-Range` says"));
        };
        room = left;
        size += data.len();
        batch.push(data);
        if size >= BATCH_SIZE {
            size = 0;
            writer = writer.write(std::mem::take(&mut batch)).await?;
        }
    };
    let session = writer.write(batch).await?.finish().await?;
    end?;
    match limit {
        Some(limit) if room > 0 => Err(Failure::new(
            Code::SizeInvalid,
            format!("{room} of the {limit} bytes in `Content-Range` are missing"),
        )),
        _ => Ok(session),
    }
}

/// Writes one batch at a time in the background.
enum Writer {
    Idle(Session),
    Busy(JoinHandle<Result<Session, ServerError>>),
}

impl Writer {
    async fn write(self, batch: Vec<Bytes>) -> Result<Writer, Failure> {
        let mut session = self.finish().await?;
        if batch.is_empty() {
            return Ok(Writer::Idle(session));
        }
        // The session travels with the work: whatever becomes of this task, the next writer waits
        // until the batch is written.
        Ok(Writer::Busy(tokio::task::spawn_blocking(move || {
            if let Some(upload) = session.as_mut() {
                let appended = upload.append(&batch);
                if appended.is_err() {
                    *session = None;
                }
                appended?;
            }
            Ok(session)
        })))
    }

    async fn finish(self) -> Result<Session, Failure> {
        match self {
            Writer::Idle(session) => Ok(session),
            Writer::Busy(work) => joined(work).await,
        }
    }
}

fn stalled() -> Failure {
    Failure::new(Code::BlobUploadInvalid, "the body stopped arriving")
        .status(StatusCode::REQUEST_TIMEOUT)
}

fn cut(error: &dyn std::error::Error) -> Failure {
    tracing::debug!(%error, "a request's body was cut");
    Failure::new(Code::SizeInvalid, "the body ended before its length")
}
