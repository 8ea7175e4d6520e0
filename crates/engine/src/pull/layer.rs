//! One layer: joined to its download, unpacked while the bytes arrive, checked in both forms.

use std::fs::File;
use std::future::ready;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use archive::{StreamOptions, Unpacked};
use registry::Remote;
use store::{DriverKind, LayerRecord, Lease, StagedLayer, Store, VerifiedIngest};

use super::Pull;
use super::plan::PlannedLayer;
use crate::cancel::CancelOnDrop;
use crate::download::{Blob, Download};
use crate::engine::{LayerKey, blocking};
use crate::space::MAX_TAR_SIZE;
use crate::transfer::{Transfer, Transfers, Watcher, Watchers};
use crate::{Engine, EngineError, LayerState, Result, space};

/// How often a layer is fetched anew when what arrived is not what the manifest says.
const VERIFICATION_ATTEMPTS: u32 = 3;

pub(crate) type LayerJobs = Transfers<LayerKey, (), Arc<ReadyLayer>>;

/// A layer that waits to be published.
#[derive(Debug)]
pub(crate) struct ReadyLayer {
    staged: Mutex<Option<Staged>>,
    /// Kept as long as the layer, so that others who want the blob find it.
    download: Option<Download>,
    /// Under which it is staged. The pull that began the job may end before those that joined it.
    _lease: Arc<Lease>,
}

impl ReadyLayer {
    fn new(job: &Job, staged: Staged, download: Option<Download>) -> Arc<Self> {
        let lease = Arc::clone(&job.lease);
        Arc::new(Self { staged: Mutex::new(Some(staged)), download, _lease: lease })
    }

    /// Gives up the staged layer; `None` if another pull has published it.
    pub(super) fn take_staged(&self) -> Option<Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives up the blob; `None` if it was here before or another pull has published it.
    pub(super) fn take_blob(&self) -> Option<VerifiedIngest> {
        self.download.as_ref().and_then(|download| download.handle().take_verified())
    }
}

/// A finished layer job. While this lives, other pulls join the job instead of doing it again.
#[derive(Debug)]
pub(super) struct LayerTransfer {
    _transfer: Transfer<(), Arc<ReadyLayer>>,
    pub(super) layer: Arc<ReadyLayer>,
}

impl Pull {
    /// Makes sure that a layer is staged, by a job of ours or of somebody else.
    ///
    /// `ahead` is the blob's download if it has begun already.
    pub(super) async fn layer(
        &self,
        planned: &PlannedLayer,
        ahead: Option<Download>,
    ) -> Result<LayerTransfer> {
        let mut ahead = ahead;
        loop {
            let watcher = Watcher::User { progress: self.progress.clone(), id: planned.label() };
            let begun = ahead.take();
            let prepare = |watchers| {
                let job = Job {
                    engine: self.engine.clone(),
                    remote: Some(self.remote.clone()),
                    lease: Arc::clone(&self.lease),
                    planned: planned.clone(),
                    watchers,
                    ahead: Mutex::new(begun),
                };
                ready(Ok(((), job.run())))
            };
            let jobs = &self.engine.0.layer_jobs;
            let transfer = jobs.start(planned.chain_id.clone(), watcher, prepare).await?;
            match transfer.done().await {
                Ok(layer) => return Ok(LayerTransfer { _transfer: transfer, layer }),
                // Somebody else's job failed with their mirror or credentials: ours may do better.
                Err(error) if transfer.joined() => {
                    tracing::debug!(%error, "a joined layer job failed");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The work on one layer.
pub(super) struct Job {
    pub(super) engine: Engine,
    /// Where to fetch it; without, only a kept blob will do.
    pub(super) remote: Option<Remote>,
    pub(super) lease: Arc<Lease>,
    pub(super) planned: PlannedLayer,
    pub(super) watchers: Arc<Watchers>,
    /// The blob's download, if it began before the job, until the job has joined it.
    pub(super) ahead: Mutex<Option<Download>>,
}

impl Job {
    pub(super) async fn run(self) -> Result<Arc<ReadyLayer>> {
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
        let (store, digest) = (self.engine.store().clone(), self.planned.descriptor.digest.clone());
        let kept = blocking(move || Ok(store.blob(&digest)?)).await?;
        match kept {
            Some(blob) => {
                self.watchers.report(LayerState::DownloadComplete);
                self.unpack_kept(blob).await
            }
            None => match &self.remote {
                Some(remote) => self.fetch_and_unpack(remote).await,
                None => Err(EngineError::Missing("its kept blob is damaged".to_owned())),
            },
        }
    }

    /// Unpacks a blob that is in the store.
    async fn unpack_kept(&self, blob: store::Blob) -> Result<Arc<ReadyLayer>> {
        let open = move || match File::open(&blob.path) {
            Ok(file) => Ok(Box::new(file) as Box<dyn Read + Send>),
            Err(source) => Err(EngineError::Open { path: blob.path, source }),
        };
        let unpacked = self.unpack(open).await;
        match unpacked.and_then(|(staged, unpacked)| {
            self.planned.check_digest(&unpacked)?;
            Ok(staged)
        }) {
            Ok(staged) => Ok(ReadyLayer::new(self, staged, None)),
            Err(error) => {
                // Damaged on our disk: the next attempt fetches it again.
                let (store, digest) =
                    (self.engine.store().clone(), self.planned.descriptor.digest.clone());
                let damaged = blocking(move || Ok(store.discard_blob_if_damaged(&digest)?)).await?;
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
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ingest = download.handle().ingest().clone();
        let unpacked =
            self.unpack(move || Ok(Box::new(ingest.reader()) as Box<dyn Read + Send>)).await;
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
        Ok(ReadyLayer::new(self, result?, Some(download)))
    }

    /// Unpacks on a blocking thread, when one of those for it is free.
    async fn unpack(
        &self,
        open: impl FnOnce() -> Result<Box<dyn Read + Send>> + Send + 'static,
    ) -> Result<(Staged, Unpacked)> {
        let permit = Arc::clone(&self.engine.0.unpackers).acquire_owned().await;
        let _permit = permit.map_err(|error| EngineError::Internal(error.to_string()))?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let (store, lease) = (self.engine.store().clone(), Arc::clone(&self.lease));
        let (planned, watchers) = (self.planned.clone(), Arc::clone(&self.watchers));
        blocking(move || {
            let source = cancelled.guard(open()?);
            let staged = store.stage(&lease)?;
            let total = planned.descriptor.size;
            let progress = |current| watchers.report(LayerState::Extracting { current, total });
            let unpacked = unpack_into(&store, &staged, source, &planned, &progress)?;
            if unpacked.applied.diff_id != planned.diff_id {
                return Err(EngineError::RootFsMismatch);
            }
            let record = planned.record(&unpacked);
            Ok(((staged, record), unpacked))
        })
        .await
    }
}

type Staged = (StagedLayer, LayerRecord);

impl PlannedLayer {
    /// Decides what the end of a complete download and of its unpacking mean together. Blocking.
    fn accept(&self, unpacked: Result<(Staged, Unpacked)>, blob: &Blob) -> Result<Staged> {
        match unpacked {
            Ok((staged, unpacked)) => {
                let actual = unpacked.digest.as_ref().unwrap_or(&self.descriptor.digest);
                blob.verify(actual, unpacked.compressed_size)
                    .map_err(|error| self.mismatch(&error.message()))?;
                Ok(staged)
            }
            Err(error) => {
                // Wrong bytes can look like any damage; right ones are what the image's maker made.
                let actual = blob.ingest().hash()?;
                if actual == self.descriptor.digest {
                    return Err(error);
                }
                blob.verify(&actual, self.descriptor.size)
                    .map_err(|error| self.mismatch(&error.message()))?;
                Err(error)
            }
        }
    }

    fn check_digest(&self, unpacked: &Unpacked) -> Result<()> {
        match &unpacked.digest {
            Some(actual) if *actual != self.descriptor.digest => {
                Err(self.mismatch(&format!("its bytes hash to {actual}")))
            }
            _ => Ok(()),
        }
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

/// Unpacks to where the driver wants it, or only looks if the driver keeps the blob instead.
fn unpack_into(
    store: &Store,
    staged: &StagedLayer,
    source: impl Read + Send,
    planned: &PlannedLayer,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked> {
    let digest = &planned.descriptor.digest;
    let failed = |error| space::layer_failed("register", digest, store.root(), error);
    let stream =
        StreamOptions { compression: None, digest: Some(planned.descriptor.digest.algorithm()) };
    match store.driver() {
        DriverKind::Packed => {
            archive::inspect_compressed(source, &stream, Some(MAX_TAR_SIZE), progress)
                .map_err(failed)
        }
        DriverKind::Overlay2 => {
            let options = space::apply_options(store)?;
            let tar_split = staged.tar_split()?;
            archive::unpack(source, staged.path(), tar_split, &stream, &options, progress)
                .map_err(failed)
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
