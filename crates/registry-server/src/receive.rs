//! Request bodies: into memory, bounded, or into an upload while they arrive.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use crate::error::{Code, Failure, ServerError};
use crate::sessions::Session;

/// A body that arrives.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) body: Incoming,
    /// Bytes that are hashed and written in one go, on a blocking thread, while the next are
    /// received. An upload holds about twice this in memory.
    pub(crate) piece: usize,
    /// A client that sends nothing for so long is gone.
    pub(crate) stall: Duration,
}

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

/// Reads a whole body of at most `limit` bytes, as far as there are permits of `memory`, one for
/// each KiB that has come. Where there is none left the body is refused: who waited while holding
/// some would keep others waiting.
pub(crate) async fn collect(
    mut arriving: Arriving,
    limit: u64,
    memory: &Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let collecting = async {
        let (mut bytes, mut held) = (BytesMut::new(), None);
        while let Some(frame) = arriving.body.frame().await {
            let data = frame.map_err(|error| cut(&error))?.into_data().unwrap_or_default();
            if data.len() > limit - bytes.len() {
                let message = format!("more than the {limit} bytes allowed");
                return Err(
                    Failure::new(Code::SizeInvalid, message).status(StatusCode::PAYLOAD_TOO_LARGE)
                );
            }
            reserve(memory, &mut held, bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), held))
    };
    tokio::time::timeout(arriving.stall, collecting).await.map_err(|_| stalled())?
}

/// Takes the permits for `size` bytes that are not `held` yet.
fn reserve<'a>(
    memory: &'a Semaphore,
    held: &mut Option<SemaphorePermit<'a>>,
    size: usize,
) -> Result<(), Failure> {
    let had = held.as_ref().map_or(0, SemaphorePermit::num_permits);
    let more = u32::try_from(size.div_ceil(1024).saturating_sub(had)).unwrap_or(u32::MAX);
    let permit = memory.try_acquire_many(more).map_err(|_| {
        Failure::new(Code::TooManyRequests, "too many manifests are being received, try again")
    })?;
    match held {
        Some(held) => held.merge(permit),
        None => *held = Some(permit),
    }
    Ok(())
}

/// Appends a body to an upload, and gives the upload back. No more than `limit` bytes are taken.
///
/// This runs as a task of its own, so that what has arrived is written even where the connection,
/// and with it the request, is dropped in the middle: the client may go on from there.
pub(crate) async fn append(
    session: Session,
    body: Arriving,
    limit: Option<u64>,
) -> Result<Session, Failure> {
    joined(tokio::spawn(append_all(session, body, limit))).await
}

async fn append_all(
    session: Session,
    arriving: Arriving,
    limit: Option<u64>,
) -> Result<Session, Failure> {
    let Arriving { mut body, piece, stall } = arriving;
    let mut room = limit.unwrap_or(u64::MAX);
    let mut writer = Writer::Idle(session);
    let mut batch = Vec::new();
    let mut size = 0;
    let end = loop {
        let data = match tokio::time::timeout(stall, body.frame()).await {
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
        if size >= piece {
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
