//! Bytes from the disk to the registry, resumed where the registry says it has got to.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use registry::{Attempts, Breaks, Recovery, RegistryError, UploadSession};
use spec::Descriptor;
use store::UploadNote;

use super::operation::{Push, refused};
use crate::engine::blocking;
use crate::error::Defect;
use crate::transfer::Watchers;
use crate::{EngineError, LayerFacts, LayerState, Result};

/// Bytes that are read from the disk at once.
const READ_SIZE: usize = 256 << 10;

/// The least size of a blob whose upload another process goes on with. What is smaller is sent anew as quickly.
const KEPT_SIZE: u64 = 8 << 20;

/// The bytes of an upload.
#[derive(Clone)]
pub(super) enum Content {
    File(PathBuf),
    Bytes(Bytes),
}

type Body = BoxStream<'static, std::io::Result<Bytes>>;

/// One blob on its way to the registry.
pub(super) struct Upload<'a> {
    pub(super) push: &'a Push,
    pub(super) watchers: Arc<Watchers>,
    pub(super) blob: &'a Descriptor,
    pub(super) content: Content,
}

impl Upload<'_> {
    /// Sends the blob. After a failure the upload goes on from what the registry has, or begins anew.
    pub(super) async fn run(&self, mut session: Option<UploadSession>) -> Result<()> {
        let mut attempts = Attempts::new(self.push.engine.network().limits.attempts);
        let mut breaks = Breaks::default();
        let mut resumed = false;
        let mut note = self.note().await;
        if let Some(earlier) = self.earlier(note.as_ref()).await {
            let present = Some(earlier.offset());
            self.watchers.tell(&LayerFacts { present, ..LayerFacts::default() });
            cancel(session.replace(earlier)).await;
            resumed = true;
        }
        loop {
            let error = match self.attempt(&mut session, &mut note, breaks).await {
                Ok(()) => {
                    forget(note).await;
                    return Ok(());
                }
                Err(Failure::Local(error)) => return Err(error),
                // Each is smaller than the one before, so that this ends.
                Err(Failure::Registry(RegistryError::PartTooLarge { most })) => {
                    tracing::info!(blob = %self.blob.digest, most, "sent in smaller parts");
                    self.reopen(&mut session, &mut note).await;
                    continue;
                }
                Err(Failure::Registry(error)) => error,
            };
            // What another process has begun may be refused for reasons of its own.
            if resumed && error.recovery() == Recovery::Fail {
                resumed = false;
                tracing::info!(%error, blob = %self.blob.digest, "the upload starts anew");
                continue;
            }
            breaks.count(&error);
            let retry = self.watchers.before_retry(error, &mut attempts).await;
            retry.map_err(refused)?;
            self.reopen(&mut session, &mut note).await;
            attempts.reached(session.as_ref().map_or(0, UploadSession::offset));
            resumed = resumed && session.is_some();
        }
    }

    /// Finds out what the registry has kept of an upload that failed. If it does not say so, the next attempt begins anew.
    async fn reopen(&self, session: &mut Option<UploadSession>, note: &mut Option<UploadNote>) {
        let Some(mut current) = session.take() else { return };
        if current.status().await.is_ok_and(|offset| offset <= self.blob.size) {
            remember(note, &current).await;
            *session = Some(current);
        }
    }

    async fn attempt(
        &self,
        session: &mut Option<UploadSession>,
        note: &mut Option<UploadNote>,
        breaks: Breaks,
    ) -> Result<(), Failure> {
        let mut current = match session.take() {
            Some(current) => current,
            None => self.push.remote.start_upload().await?,
        };
        remember(note, &current).await;
        let Err(failure) = self.send(&mut current, note, breaks).await else { return Ok(()) };
        if let Failure::Registry(error) = &failure
            && self.may_go_on(error)
        {
            *session = Some(current);
        }
        Err(failure)
    }

    /// Says whether the registry may have kept a part that is worth the question. What is small goes anew as quickly after
    /// an answer, so that a registry that fails is asked no more than dockerd asks it.
    fn may_go_on(&self, error: &RegistryError) -> bool {
        let lost = match error {
            RegistryError::UploadUnknown { .. } | RegistryError::PartsRefused { .. } => {
                return false;
            }
            RegistryError::Refused(_) => false,
            _ => true,
        };
        matches!(error.recovery(), Recovery::Retry { .. }) && (lost || self.blob.size >= KEPT_SIZE)
    }

    /// Says whether the upload is worth to be gone on with by another process.
    fn is_kept(&self) -> bool {
        matches!(self.content, Content::File(_)) && self.blob.size >= KEPT_SIZE
    }

    /// Takes the note of the upload, unless another process sends the same now. A push does without a note where there is
    /// none to be had, as on a full disk.
    async fn note(&self) -> Option<UploadNote> {
        if !self.is_kept() {
            return None;
        }
        let (repository, digest) = (self.push.request.repository.clone(), self.blob.digest.clone());
        let taken =
            self.push.engine.on_disk(move |store| Ok(store.take_upload(&repository, &digest)?));
        logged(taken.await)?
    }

    /// Returns the upload that a process before this one has begun, if the registry still has it.
    async fn earlier(&self, note: Option<&UploadNote>) -> Option<UploadSession> {
        let place = note?.place()?;
        let (blob, size) = (&self.blob.digest, self.blob.size);
        match self.push.remote.resume_upload(place).await {
            Ok(earlier) if earlier.offset() <= size => {
                tracing::info!(%blob, offset = earlier.offset(), "an earlier upload goes on");
                Some(earlier)
            }
            Ok(earlier) => {
                cancel(Some(earlier)).await;
                None
            }
            Err(error) => {
                tracing::debug!(%error, %blob, "an earlier upload does not go on");
                None
            }
        }
    }

    /// Sends what the registry has not got, in as many parts as it wants.
    async fn send(
        &self,
        current: &mut UploadSession,
        note: &mut Option<UploadNote>,
        breaks: Breaks,
    ) -> Result<(), Failure> {
        let (size, digest) = (self.blob.size, &self.blob.digest);
        if current.is_whole() {
            return Ok(current.send(self.body(0, size).await?, Some(size), digest).await?);
        }
        while current.offset() < size {
            let offset = current.offset();
            let part = current.part(size - offset, breaks);
            current.append(self.body(offset, offset + part).await?, Some(part)).await?;
            remember(note, current).await;
        }
        Ok(current.finish(digest).await?)
    }

    async fn body(&self, offset: u64, end: u64) -> Result<Body> {
        match &self.content {
            Content::File(path) => {
                let (path, watchers) = (path.clone(), Arc::clone(&self.watchers));
                Ok(read_file(path, offset..end, self.blob.size, watchers).await?.boxed())
            }
            Content::Bytes(bytes) => {
                let short = || EngineError::Internal(Defect::ShortBlob);
                let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
                let range = range.filter(|&(from, to)| from <= to && to <= bytes.len());
                let (from, to) = range.ok_or_else(short)?;
                Ok(stream::once(std::future::ready(Ok(bytes.slice(from..to)))).boxed())
            }
        }
    }
}

impl Push {
    /// Sends a small blob from memory.
    pub(super) async fn upload_bytes(&self, blob: &Descriptor, bytes: Bytes) -> Result<()> {
        let (watchers, content) = (Arc::default(), Content::Bytes(bytes));
        Upload { push: self, watchers, blob, content }.run(None).await
    }
}

/// Tells the registry that nobody goes on with an upload.
pub(super) async fn cancel(session: Option<UploadSession>) {
    if let Some(session) = session
        && let Err(error) = session.cancel().await
    {
        tracing::debug!(%error, "an upload that is not needed could not be cancelled");
    }
}

/// Notes where the upload goes on.
async fn remember(note: &mut Option<UploadNote>, current: &UploadSession) {
    if current.is_whole() {
        return;
    }
    if let Some(mut held) = note.take() {
        let place = current.location().to_owned();
        // What could not be written stays taken all the same.
        let kept = blocking(move || {
            if let Err(error) = held.remember(&place) {
                tracing::debug!(%error, "an upload is not noted");
            }
            Ok(held)
        });
        *note = logged(kept.await);
    }
}

/// Forgets the note of an upload that is over.
async fn forget(note: Option<UploadNote>) {
    if let Some(note) = note {
        logged(blocking(move || Ok(note.forget()?)).await);
    }
}

/// Logs why a note cannot be read or written: a push does without.
fn logged<T>(done: Result<T>) -> Option<T> {
    done.inspect_err(|error| tracing::debug!(%error, "no note of an upload")).ok()
}

/// Reads a part of a file of `size` bytes, in pieces, on blocking threads, and reports how far it is.
async fn read_file(
    path: PathBuf,
    part: Range<u64>,
    size: u64,
    watchers: Arc<Watchers>,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static> {
    let file = blocking(move || {
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(part.start))?;
            Ok(file)
        };
        open().map_err(|source| EngineError::Open { path, source })
    })
    .await?;
    let step = move |(mut file, offset): (File, u64)| {
        let watchers = Arc::clone(&watchers);
        async move {
            let want = usize::try_from(part.end - offset).unwrap_or(READ_SIZE).min(READ_SIZE);
            if want == 0 {
                return Ok(None);
            }
            let (file, bytes) = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; want];
                file.read_exact(&mut buffer)?;
                Ok::<_, std::io::Error>((file, Bytes::from(buffer)))
            })
            .await
            .map_err(std::io::Error::other)??;
            let offset = offset + bytes.len() as u64;
            watchers.report(LayerState::Pushing { current: offset, total: size });
            Ok(Some((bytes, (file, offset))))
        }
    };
    Ok(stream::try_unfold((file, part.start), step))
}

/// The end of an attempt: only a registry's failure may be worth another.
enum Failure {
    Registry(RegistryError),
    Local(EngineError),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Local(error)
    }
}
