//! One layer: joined to its download, unpacked while the bytes arrive, checked in both forms.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use archive::Unpacked;
use registry::Remote;
use spec::Digest;
use store::{HashingReader, IngestReader, LayerRecord, Lease, StoreError};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::blob::{Blob, Download};
use super::ready::{PlannedLayer, ReadyLayer, Staged};
use super::watchers::{Watcher, Watchers};
use crate::cancel::CancelOnDrop;
use crate::engine::blocking;
use crate::error::Missing;
use crate::lock::lock;
use crate::{Engine, EngineError, LayerFacts, LayerState, Result, layer};

/// Attempts at a layer when what arrives is not what the manifest says.
const VERIFICATION_ATTEMPTS: u32 = 3;
/// Compressed bytes after which what was unpacked of a layer begins its way to the disk: three to four times as many, so that the
/// sync of the commit has little left to wait for, and a sync of the file system is rare enough not to be felt.
const FLUSHED: u64 = 16 << 20;

/// The work on one layer.
pub(crate) struct LayerJob {
    pub(crate) engine: Engine,
    /// The repository to fetch it from; without, only a kept blob will do.
    pub(crate) remote: Option<Remote>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) planned: PlannedLayer,
    pub(crate) watchers: Arc<Watchers>,
    /// The blob's download, if it began before the job, until the job has joined it.
    pub(crate) ahead: Mutex<Option<Download>>,
}

impl LayerJob {
    pub(crate) async fn run(self) -> Result<Arc<ReadyLayer>> {
        let mut attempt = 1;
        loop {
            match self.attempt().await {
                Ok(layer) => {
                    self.engine.flush_soon();
                    self.watchers.report(LayerState::PullComplete);
                    return Ok(layer);
                }
                Err(error) if is_mismatch(&error) && attempt < VERIFICATION_ATTEMPTS => {
                    tracing::warn!(%error, "a layer will be fetched again");
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&self) -> Result<Arc<ReadyLayer>> {
        let digest = self.planned.descriptor.digest.clone();
        let kept = self.engine.on_disk(move |store| Ok(store.blob(&digest)?)).await?;
        match kept {
            Some(blob) => {
                self.watchers.tell(&LayerFacts::here(self.planned.descriptor.size));
                self.watchers.report(LayerState::Kept);
                self.unpack_kept(blob).await
            }
            None => match &self.remote {
                Some(remote) => self.fetch_and_unpack(remote).await,
                None => Err(EngineError::Missing(Missing::KeptBlob)),
            },
        }
    }

    /// Unpacks a blob that is in the store.
    async fn unpack_kept(&self, blob: store::Blob) -> Result<Arc<ReadyLayer>> {
        let algorithm = self.planned.descriptor.digest.algorithm();
        let open = move || match File::open(&blob.path) {
            Ok(file) => Ok(HashingReader::new(file, algorithm)),
            Err(source) => Err(EngineError::Open { path: blob.path, source }),
        };
        let unpacked = self.unpack(self.engine.unpacker().await?, open).await;
        match unpacked.and_then(|(staged, reader)| {
            self.planned.check_digest(&reader.finish().0)?;
            Ok(staged)
        }) {
            Ok(staged) => Ok(ReadyLayer::new(Arc::clone(&self.lease), staged, None)),
            Err(error) => {
                // Damaged on our disk: the next attempt fetches it again.
                let digest = self.planned.descriptor.digest.clone();
                let damaged = self
                    .engine
                    .on_disk(move |store| Ok(store.discard_blob_if_damaged(&digest)?))
                    .await?;
                Err(if damaged { self.planned.mismatch(&error.message()) } else { error })
            }
        }
    }

    /// Unpacks a blob while it is downloaded.
    async fn fetch_and_unpack(&self, remote: &Remote) -> Result<Arc<ReadyLayer>> {
        let watcher = Watcher::Relay(Arc::clone(&self.watchers));
        let download =
            self.engine.download(remote, &self.planned.descriptor, &self.lease, watcher).await?;
        // Held any longer, a second attempt would find the first one's bytes.
        lock(&self.ahead).take();
        let permit = self.engine.unpacker_beside(download.done()).await?;
        let ingest = download.handle().ingest().clone();
        let unpacked = self.unpack(permit, move || Ok(ingest.reader())).await;
        // When the download failed, the unpacking failed only because of it.
        download.done().await?;
        let job = (self.planned.clone(), download);
        let (result, download) = blocking(move || {
            let (planned, download) = job;
            Ok((planned.accept(unpacked, download.handle()), download))
        })
        .await?;
        if result.as_ref().is_err_and(is_mismatch) {
            // A mirror that sent wrong bytes would send them again.
            for source in download.handle().sources() {
                remote.pass_over(&source);
            }
        }
        Ok(ReadyLayer::new(Arc::clone(&self.lease), result?, Some(download)))
    }

    /// Unpacks on a blocking thread. Returns the source, which was read to its end.
    async fn unpack<R: Read + Send + 'static>(
        &self,
        _permit: OwnedSemaphorePermit,
        open: impl FnOnce() -> Result<R> + Send + 'static,
    ) -> Result<(Staged, R)> {
        let (_cancel, cancelled) = CancelOnDrop::new();
        let lease = Arc::clone(&self.lease);
        let (planned, watchers) = (self.planned.clone(), Arc::clone(&self.watchers));
        let (engine, runtime) = (self.engine.clone(), Handle::current());
        self.engine
            .on_disk(move |store| {
                let mut source = open()?;
                let staged = store.stage(&lease)?;
                let total = planned.descriptor.size;
                let next_flush = AtomicU64::new(FLUSHED);
                let progress = |current| {
                    watchers.report(LayerState::Extracting { current, total });
                    if current >= next_flush.load(Ordering::Relaxed) {
                        next_flush.store(current + FLUSHED, Ordering::Relaxed);
                        // The thread that reads is none of the runtime's.
                        let _entered = runtime.enter();
                        engine.flush_soon();
                    }
                };
                let guarded = cancelled.guard(&mut source);
                let digest = &planned.descriptor.digest;
                let unpacked = layer::unpack(store, &staged, guarded, digest, &progress)?;
                if unpacked.applied.diff_id != planned.diff_id {
                    return Err(EngineError::RootFsMismatch);
                }
                let record = planned.record(&unpacked);
                Ok(((staged, record), source))
            })
            .await
    }
}

impl PlannedLayer {
    /// Decides what the end of a complete download and of its unpacking mean together. Blocking.
    fn accept(&self, unpacked: Result<(Staged, IngestReader)>, blob: &Blob) -> Result<Staged> {
        match unpacked {
            Ok((staged, reader)) => {
                let verified = reader.verify();
                blob.set_verified(
                    verified.map_err(|e| self.mismatch(&EngineError::from(e).message()))?,
                );
                Ok(staged)
            }
            // Wrong bytes can look like any damage; right ones are what the image's maker made.
            Err(error) => match blob.ingest().verify() {
                Ok(_) => Err(error),
                Err(wrong @ StoreError::Mismatch { .. }) => {
                    Err(self.mismatch(&EngineError::from(wrong).message()))
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    fn check_digest(&self, actual: &Digest) -> Result<()> {
        if *actual == self.descriptor.digest {
            return Ok(());
        }
        Err(self.mismatch(&format!("its bytes hash to {actual}")))
    }

    fn mismatch(&self, detail: &str) -> EngineError {
        let digest = self.descriptor.digest.clone();
        EngineError::LayerVerification { digest, detail: detail.to_owned() }
    }
}

impl PlannedLayer {
    fn record(&self, unpacked: &Unpacked) -> LayerRecord {
        LayerRecord {
            diff_id: self.diff_id.clone(),
            parent: self.parent.clone(),
            size: unpacked.applied.size,
            blob: Some(self.descriptor.digest.clone()),
        }
    }
}

fn is_mismatch(error: &EngineError) -> bool {
    match error {
        EngineError::LayerVerification { .. } => true,
        EngineError::Shared(error) => is_mismatch(error),
        _ => false,
    }
}
