//! The engine itself: what all operations share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use registry::{Client, HostMetrics, Metrics, RegistryConfig, Waits};
use spec::ImageId;
use store::{DriverKind, Lease, Store, StoreOptions};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::Defect;
use crate::events::{EventKind, Events};
use crate::lock::lock;
use crate::receive::Receivers;
use crate::resolve;
use crate::transfer::{Downloads, LayerJobs, Transfers, UploadJobs};
use crate::{EngineError, Progress, ProgressEvent, Result};

/// Ranges in flight beyond the few that each download has of its own, of all downloads together: more would be impolite.
const EXTRA_RANGES: usize = 4;
/// Layers that are unpacked while their archives arrive: as many as may be at work with what is here, at some 3 MiB each.
const MAX_ARRIVALS: usize = 8;

/// The settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The directory of all that is kept.
    pub data_root: PathBuf,
    /// The form of layers; `None` takes that of the data root, or the one that works here.
    pub driver: Option<DriverKind>,
    /// Keep compressed blobs beside unpacked layers, so that a push sends the very bytes that were pulled.
    pub keep_blobs: bool,
    /// The way to registries.
    pub registry: RegistryConfig,
    /// The judges of images that are pulled.
    pub trust: policy::Settings,
    /// Bounds of what goes on at once.
    pub limits: Limits,
}

/// Bounds of what goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blobs that are downloaded at once; `max-concurrent-downloads`.
    pub downloads: usize,
    /// Blobs that are uploaded at once; `max-concurrent-uploads`.
    pub uploads: usize,
    /// Attempts at a transfer before it fails; `max-download-attempts`.
    pub attempts: u32,
}

impl Default for Limits {
    /// Returns dockerd's defaults.
    fn default() -> Self {
        Self { downloads: 3, uploads: 5, attempts: 5 }
    }
}

/// The facts of an engine that `docker info` tells.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// The directory of all that is kept.
    pub data_root: PathBuf,
    /// The driver's name.
    pub driver: String,
    /// The driver's own facts, as names and values.
    pub driver_status: Vec<(String, String)>,
    /// The number of images.
    pub images: usize,
    /// Bounds of what goes on at once.
    pub limits: Limits,
}

/// Does everything that can be done with images. Cheap to clone; all clones are one engine.
#[derive(Clone, Debug)]
pub struct Engine(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) events: Events,
    pub(crate) downloads: Downloads,
    pub(crate) layer_jobs: LayerJobs,
    pub(crate) upload_jobs: UploadJobs,
    /// Threads that unpack: more than cores would only cost memory.
    pub(crate) unpackers: Arc<Semaphore>,
    /// Layers that are compressed, each by several threads.
    pub(crate) packers: Arc<Semaphore>,
    /// Archives that are read while somebody sends them. None of these threads is one of the unpackers, for pulls must go on
    /// meanwhile.
    pub(crate) receivers: Arc<Receivers>,
    /// Layers that are unpacked while an archive with them arrives. A sender may take its time: who comes when all are taken has its
    /// layers put aside first.
    pub(crate) arrivals: Semaphore,
    /// One pull publishes at a time: a layer that two of them staged is then taken by the first and found by the second.
    pub(crate) publishing: tokio::sync::Mutex<()>,
    /// Set while a prune is at work.
    pub(crate) pruning: Arc<AtomicBool>,
    /// Set while [`Engine::flush_soon`] is at work.
    flushing: AtomicBool,
    network: Mutex<Network>,
    /// Counted from the start, whatever is reloaded.
    traffic: Metrics,
    /// The hosts that asked for a wait, whatever is reloaded.
    waits: Waits,
}

/// The part of the engine that a reload replaces.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) client: Client,
    pub(crate) trust: policy::Settings,
    pub(crate) limits: Limits,
    pub(crate) downloads: Arc<Semaphore>,
    /// Ranges in flight beyond those that each download has of its own.
    pub(crate) extra_ranges: Arc<Semaphore>,
    pub(crate) uploads: Arc<Semaphore>,
}

impl Network {
    fn new(registry: RegistryConfig, trust: policy::Settings, limits: Limits) -> Result<Self> {
        let downloads = limits.downloads.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            client: Client::new(registry).map_err(EngineError::Registry)?,
            trust,
            limits,
            downloads: Arc::new(Semaphore::new(downloads)),
            extra_ranges: Arc::new(Semaphore::new(EXTRA_RANGES)),
            uploads: Arc::new(Semaphore::new(limits.uploads.max(1))),
        })
    }
}

impl Engine {
    /// Opens the data root, sweeps what dead processes left in it, and gets ready.
    pub async fn open(config: EngineConfig) -> Result<Self> {
        let options = StoreOptions {
            root: config.data_root,
            driver: config.driver,
            keep_blobs: config.keep_blobs,
        };
        let traffic = config.registry.metrics.clone();
        let waits = config.registry.waits.clone();
        let network = Network::new(config.registry, config.trust, config.limits)?;
        let store = blocking(move || Ok(Store::open(options)?)).await?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let at_work = || Arc::new(Semaphore::new(cores.clamp(2, 8)));
        Ok(Self(Arc::new(Shared {
            store,
            events: Events::default(),
            downloads: Downloads::default(),
            layer_jobs: Transfers::default(),
            upload_jobs: Transfers::default(),
            unpackers: at_work(),
            arrivals: Semaphore::new(MAX_ARRIVALS),
            packers: at_work(),
            receivers: Arc::default(),
            publishing: tokio::sync::Mutex::new(()),
            pruning: Arc::default(),
            flushing: AtomicBool::new(false),
            network: Mutex::new(network),
            traffic,
            waits,
        })))
    }

    /// Changes what may change while the engine runs. Transfers that have begun go on as they began.
    pub fn reload(
        &self,
        registry: RegistryConfig,
        trust: policy::Settings,
        limits: Limits,
    ) -> Result<()> {
        let (traffic, waits) = (self.0.traffic.clone(), self.0.waits.clone());
        let registry = RegistryConfig { metrics: traffic, waits, ..registry };
        let network = Network::new(registry, trust, limits)?;
        *lock(&self.0.network) = network;
        Ok(())
    }

    /// Returns the events of this engine.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Returns the counts of what was sent to and received from each registry, by its host and port.
    pub fn traffic(&self) -> Vec<(String, HostMetrics)> {
        self.0.traffic.by_host()
    }

    /// Tells what there is.
    pub async fn info(&self) -> Result<EngineInfo> {
        let limits = self.network().limits;
        self.on_disk(move |store| {
            Ok(EngineInfo {
                data_root: store.root().to_owned(),
                driver: store.driver().to_string(),
                driver_status: driver_status(store)?,
                images: store.images()?.len(),
                limits,
            })
        })
        .await
    }

    /// Runs work with the store on a thread that may block.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.0.store.clone();
        blocking(move || work(&store)).await
    }

    pub(crate) fn network(&self) -> Network {
        lock(&self.0.network).clone()
    }

    /// Returns the client for an operation that tells its user of the waits that registries ask for.
    pub(crate) fn client_for(&self, progress: &Progress) -> Client {
        let progress = progress.clone();
        self.network().client.listening(move |wait| progress.report(ProgressEvent::HeldOff(wait)))
    }

    /// Has what is written so far go to the disk in the background, so that the sync of a commit finds less to do.
    pub(crate) fn flush_soon(&self) {
        if self.0.flushing.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = self.clone();
        tokio::task::spawn_blocking(move || {
            engine.store().write_back();
            engine.0.flushing.store(false, Ordering::Release);
        });
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Starts an operation that may publish, and holds what it relies on.
    pub(crate) async fn lease(&self) -> Result<Arc<Lease>> {
        self.on_disk(|store| Ok(Arc::new(store.lease()?))).await
    }

    /// Starts what only reads, and works where nothing can be written.
    pub(crate) async fn reading_lease(&self) -> Result<Arc<Lease>> {
        self.on_disk(|store| Ok(Arc::new(store.reading_lease()?))).await
    }

    /// Tells the watchers that something happened to a local image.
    pub(crate) fn image_event(&self, action: &'static str, id: &ImageId, name: &str) {
        let labels = match self.store().image(id) {
            Ok(Some(image)) => image.config.value().labels().unwrap_or_default(),
            // An image that is gone has no labels any more.
            Ok(None) | Err(_) => BTreeMap::new(),
        };
        self.event(action, id.to_string(), labels, name);
    }

    /// Tells the watchers that what `reference` means was pulled or pushed, with the image's labels.
    pub(crate) async fn transfer_event(
        &self,
        action: &'static str,
        reference: String,
        repository: String,
    ) {
        let asked = reference.clone();
        let labels = self.on_disk(move |store| {
            let references = store.references()?;
            let id = resolve::find(store, &references, &asked)?.id;
            let image = store.image(&id)?;
            Ok(image.and_then(|image| image.config.value().labels()).unwrap_or_default())
        });
        // All tags of a repository are no image of that name, which has no labels to tell.
        let labels = labels.await.unwrap_or_default();
        self.event(action, reference, labels, &repository);
    }

    /// Tells the watchers that something happened.
    pub(crate) fn event(
        &self,
        action: &'static str,
        actor_id: String,
        mut attributes: BTreeMap<String, String>,
        name: &str,
    ) {
        attributes.insert("name".to_owned(), name.to_owned());
        self.0.events.publish(EventKind::Image, action, actor_id, attributes);
    }
}

/// Returns what the driver has to say, and what is kept beside its layers.
fn driver_status(store: &Store) -> Result<Vec<(String, String)>> {
    let mut status = store.driver_status();
    let kept = store.kept_bytes()?;
    if kept > 0 {
        status.push(("Kept Blobs".to_owned(), format!("{kept} bytes")));
    }
    Ok(status)
}

/// Runs disk or CPU work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(EngineError::Internal(Defect::Task(error))))
}

/// Starts work that goes on whether or not its result is waited for, until the result is dropped.
pub(crate) fn in_task<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> {
    let mut task = JoinSet::new();
    task.spawn(work);
    async move {
        match task.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(EngineError::Internal(Defect::Task(error))),
            None => Err(EngineError::Cancelled),
        }
    }
}
