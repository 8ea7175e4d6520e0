//! The daemon: what all connections share.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use api::ApiVersion;
use engine::{Engine, EngineConfig, EngineError, EventKind};
use http::header::{HeaderMap, HeaderName, HeaderValue, SERVER};
use registry::{CredentialSource, RegistryConfig};
use spec::Digest;
use tokio::sync::watch;

use crate::config::{DaemonConfig, KeepBlobs};
use crate::errors::operations::OperationErrors;
use crate::lock::lock;
use crate::machine::Machine;
use crate::metrics::actions::Actions;
use crate::request::handed::HandedFiles;

/// The largest `engine-id` that is believed, in bytes. A UUID has 36, the hash of a key that old ones are 59.
const MAX_ID_SIZE: u64 = 128;

/// Facts that a daemon tells of itself.
#[derive(Clone, Debug)]
pub struct DaemonInfo {
    /// The version of Longshore.
    pub version: String,
    /// The commit that it was built from; empty where that is unknown.
    pub git_commit: String,
    /// Time of the build; empty where that is unknown.
    pub build_time: String,
    /// Configuration at the start.
    pub config: DaemonConfig,
    /// Source of credentials for mirrors of registries.
    pub credentials: Option<Arc<dyn CredentialSource>>,
}

/// The result of a prune by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastPrune {
    pub(crate) at: SystemTime,
    /// Images that went, or lost names.
    pub(crate) images: usize,
    /// Bytes that were freed.
    pub(crate) freed: u64,
}

/// An Engine API daemon. Cheap to clone: all clones are the same daemon.
#[derive(Clone)]
pub struct Daemon(Arc<Shared>);

struct Shared {
    engine: Engine,
    version: String,
    git_commit: String,
    build_time: String,
    credentials: Option<Arc<dyn CredentialSource>>,
    machine: Machine,
    /// The headers of every answer.
    headers: HeaderMap,
    config: watch::Sender<Arc<DaemonConfig>>,
    /// The last prune by the clock.
    last_prune: Mutex<Option<LastPrune>>,
    /// Held once by each stream of events.
    event_streams: Arc<()>,
    actions: Arc<Actions>,
    operation_errors: OperationErrors,
    handed_files: HandedFiles,
    /// Turns true when the daemon stops: answers without an end of their own end then.
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("version", &self.0.version).finish_non_exhaustive()
    }
}

impl Daemon {
    /// A daemon in front of `engine`. Reads a few files of the host, for `/info`.
    pub fn new(engine: Engine, info: DaemonInfo) -> Self {
        let DaemonInfo { version, git_commit, build_time, config, credentials } = info;
        let headers = headers(&version);
        Self(Arc::new(Shared {
            engine,
            version,
            git_commit,
            build_time,
            credentials,
            machine: Machine::read(),
            headers,
            config: watch::Sender::new(Arc::new(config)),
            last_prune: Mutex::default(),
            event_streams: Arc::new(()),
            actions: Arc::default(),
            operation_errors: OperationErrors::default(),
            handed_files: HandedFiles::default(),
            closing: watch::Sender::new(false),
        }))
    }

    /// Takes over what may change while the daemon runs: how registries are reached, the limits of transfers, and what
    /// the daemon says of itself. Transfers that run keep what they started with.
    pub fn reload(&self, new: &DaemonConfig) -> Result<(), EngineError> {
        let config = self.config().reloaded(new);
        let registry = RegistryConfig {
            credentials: self.0.credentials.clone(),
            ..config.registry(&self.0.version)
        };
        self.0.engine.reload(registry, config.trust(), config.limits())?;
        let mut attributes = config.told();
        self.0.config.send_replace(Arc::new(config));
        attributes.insert("name".to_owned(), self.0.machine.name.clone());
        self.engine().events().publish(EventKind::Daemon, "reload", self.id(), attributes);
        Ok(())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn config(&self) -> Arc<DaemonConfig> {
        Arc::clone(&self.0.config.borrow())
    }

    /// The configuration that holds, and each that comes after it.
    pub(crate) fn configurations(&self) -> watch::Receiver<Arc<DaemonConfig>> {
        self.0.config.subscribe()
    }

    /// Keeps the result of a prune by the clock.
    pub(crate) fn pruned(&self, pruned: LastPrune) {
        *lock(&self.0.last_prune) = Some(pruned);
    }

    pub(crate) fn last_prune(&self) -> Option<LastPrune> {
        *lock(&self.0.last_prune)
    }

    pub(crate) fn version(&self) -> &str {
        &self.0.version
    }

    pub(crate) fn git_commit(&self) -> &str {
        &self.0.git_commit
    }

    pub(crate) fn build_time(&self) -> &str {
        &self.0.build_time
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.0.machine
    }

    /// A name for this daemon that stays as long as its data root does: the one that a dockerd gave to that, or else
    /// one made of the host's name and the root's, in the form of a UUID.
    pub(crate) fn id(&self) -> String {
        let config = self.config();
        if let Some(id) = engine_id(&config.data_root) {
            return id;
        }
        let root = config.data_root.display().to_string();
        let hex = Digest::sha256(format!("{}\n{root}", self.0.machine.name).as_bytes()).hex();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
    }

    /// The timer of what is done with images.
    pub(crate) fn actions(&self) -> &Arc<Actions> {
        &self.0.actions
    }

    /// The errors of answers that were broken off.
    pub(crate) fn operation_errors(&self) -> &OperationErrors {
        &self.0.operation_errors
    }

    /// Takes a file of this process in place of the body of a request to come, which names it by what is returned, in the header
    /// [`api::FILE_HEADER`].
    pub fn hand_over(&self, file: File) -> String {
        self.0.handed_files.put(file)
    }

    pub(crate) fn handed_files(&self) -> &HandedFiles {
        &self.0.handed_files
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// A token for a stream of events to hold: held tokens are counted.
    pub(crate) fn event_stream(&self) -> Arc<()> {
        Arc::clone(&self.0.event_streams)
    }

    pub(crate) fn count_event_streams(&self) -> usize {
        Arc::strong_count(&self.0.event_streams) - 1
    }

    /// Tells every answer without an end to end.
    pub(crate) fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// Waits until [`Daemon::close`] was called. The future holds nothing of the daemon but the news.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.0.closing.subscribe();
        async move {
            // An error is that the daemon is gone, which is as good.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }
}

/// Opens the data root of `config` for a Longshore of this `version`, which registries see in the user agent.
/// `credentials` knows what mirrors of registries are shown.
pub async fn open_engine(
    config: &DaemonConfig,
    version: &str,
    credentials: Option<Arc<dyn CredentialSource>>,
) -> Result<Engine, EngineError> {
    Engine::open(EngineConfig {
        data_root: config.data_root.clone(),
        driver: config.storage_driver,
        keep_blobs: config.keep_blobs == KeepBlobs::All,
        registry: RegistryConfig { credentials, ..config.registry(version) },
        trust: config.trust(),
        limits: config.limits(),
    })
    .await
}

/// Reads the name that dockerd gives to a data root since version 23. What is none counts as none.
fn engine_id(root: &Path) -> Option<String> {
    let path = root.join("engine-id");
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_ID_SIZE + 1).read_to_string(&mut text).ok()?;
    let id = text.trim();
    let is_sound = !id.is_empty()
        && text.len() as u64 <= MAX_ID_SIZE
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:".contains(&byte));
    is_sound.then(|| id.to_owned())
}

/// The headers by which clients know whom they talk to.
fn headers(version: &str) -> HeaderMap {
    let os = std::env::consts::OS;
    let named = [
        (HeaderName::from_static("api-version"), ApiVersion::CURRENT.to_string()),
        (HeaderName::from_static("docker-experimental"), "false".to_owned()),
        (HeaderName::from_static("ostype"), os.to_owned()),
        (SERVER, format!("Longshore/{version} ({os})")),
    ];
    // A version that no header can hold is not worth failing for.
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
        .collect()
}
