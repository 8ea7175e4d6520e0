//! Bytes from the disk to the registry, resumed where the registry says it has got to.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use registry::{Recovery, RegistryError, UploadSession};
use spec::{Descriptor, Digest};

use super::layer::Job;
use super::{Push, refused};
use crate::engine::blocking;
use crate::transfer::Watchers;
use crate::{EngineError, LayerState, Result};

/// How much is read from the disk at once, in bytes.
const READ_SIZE: usize = 256 << 10;

impl Job {
    /// Sends a blob from a file. After a failure the upload goes on from what the registry has, or begins anew.
    pub(super) async fn upload(
        &self,
        mut session: Option<UploadSession>,
        blob: &Descriptor,
        path: PathBuf,
    ) -> Result<()> {
        let attempts = self.push.engine.network().limits.attempts;
        let mut failures = 0;
        loop {
            let error = match self.attempt(&mut session, blob, &path).await {
                Ok(()) => return Ok(()),
                Err(Failure::Local(error)) => return Err(error),
                Err(Failure::Registry(error)) => error,
            };
            failures += 1;
            let retry = self.watchers.before_retry(error, failures, attempts).await;
            retry.map_err(refused)?;
        }
    }

    async fn attempt(
        &self,
        session: &mut Option<UploadSession>,
        blob: &Descriptor,
        path: &Path,
    ) -> Result<(), Failure> {
        let mut current = match session.take() {
            Some(current) => current,
            None => self.push.remote.start_upload().await?,
        };
        let offset = current.offset();
        let body =
            read_file(path.to_owned(), offset, blob.size, Arc::clone(&self.watchers)).await?;
        match current.send(body, Some(blob.size - offset), &blob.digest).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The registry may have kept a part. If it does not say so, the next attempt begins anew.
                if matches!(error.recovery(), Recovery::Retry { .. })
                    && current.status().await.is_ok_and(|offset| offset <= blob.size)
                {
                    *session = Some(current);
                }
                Err(error.into())
            }
        }
    }
}

impl Push {
    /// Sends a small blob from memory.
    pub(super) async fn upload_bytes(&self, digest: &Digest, bytes: Bytes) -> Result<()> {
        let size = bytes.len() as u64;
        let mut session = self.remote.start_upload().await.map_err(refused)?;
        let body = stream::once(std::future::ready(Ok(bytes)));
        session.send(body, Some(size), digest).await.map_err(refused)
    }
}

/// Reads a file from `offset` to `size`, in pieces, on blocking threads, and reports how far it is.
async fn read_file(
    path: PathBuf,
    offset: u64,
    size: u64,
    watchers: Arc<Watchers>,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static> {
    let file = blocking(move || {
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        };
        open().map_err(|source| EngineError::Open { path, source })
    })
    .await?;
    let step = move |(mut file, offset): (File, u64)| {
        let watchers = Arc::clone(&watchers);
        async move {
            let want = usize::try_from(size - offset).unwrap_or(READ_SIZE).min(READ_SIZE);
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
    Ok(stream::try_unfold((file, offset), step))
}

/// Why an attempt ended: only a registry's failure may be worth another.
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
