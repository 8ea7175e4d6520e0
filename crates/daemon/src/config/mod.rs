//! How a daemon is set up: `daemon.json`, the flags, and what holds where neither says anything.

mod address;
mod check;
pub(crate) mod directives;
mod error;
mod proxies;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::ApiVersion;
use registry::{ProxyConfig, RegistryConfig};
use store::DriverKind;

pub use address::{ListenAddress, ListenAddressError, default_address};
pub use error::ConfigError;
pub use proxies::Proxies;
pub(crate) use proxies::mask_credentials;

use directives::{Directives, Merged};

/// The largest `daemon.json` that is read, in bytes. Those in use have some hundred.
const MAX_FILE_SIZE: u64 = 1024 * 1024;
/// The group of the socket unless another is named.
const DEFAULT_GROUP: &str = "docker";
/// How long requests that run may go on after the daemon was told to stop; dockerd's value. What is cut off is not
/// lost: the next pull goes on where it was.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Where `daemon.json` is.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether the user named it, so that it must exist.
    pub required: bool,
}

/// What holds where neither the file nor a flag says anything.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The directory that holds everything.
    pub data_root: PathBuf,
    /// Where to listen.
    pub hosts: Vec<ListenAddress>,
    /// Directories with certificates of registries, each as dockerd's `/etc/docker/certs.d`.
    pub certs_dirs: Vec<PathBuf>,
    /// The directory of `ca.pem`, `cert.pem` and `key.pem` for TLS.
    pub tls_dir: PathBuf,
    /// The environment's wish that clients over TCP show a certificate.
    pub tls_verify: bool,
    /// The proxies to registries, which are the environment's.
    pub proxies: Proxies,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// How TCP is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whether clients must show a certificate of the authority's.
    pub mode: TlsMode,
    /// The authority that signs clients' certificates, in PEM.
    pub authority: PathBuf,
    /// The daemon's certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// The daemon's key, in PEM.
    pub key: PathBuf,
}

/// Who may speak to a daemon over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Everybody.
    Encrypt,
    /// Who has a certificate that the daemon's authority signed.
    Verify,
}

/// The group of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name or number.
    pub name: String,
    /// Whether the user named it, so that it must exist.
    pub required: bool,
}

/// A daemon's configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Where to listen.
    pub hosts: Vec<ListenAddress>,
    /// How TCP is encrypted, if it is.
    pub tls: Option<TlsFiles>,
    /// Permission to answer Longshore's own routes over TCP without TLS.
    pub insecure_tcp_routes: bool,
    /// The directory that holds everything.
    pub data_root: PathBuf,
    /// How layers are stored; `None` for what the data root has, or the best that works here.
    pub storage_driver: Option<DriverKind>,
    /// Whether compressed layers are kept beside the unpacked ones.
    pub keep_blobs: bool,
    /// URLs of mirrors of Docker Hub, asked first and in this order.
    pub registry_mirrors: Vec<String>,
    /// Names or networks of registries that may be reached over plain HTTP or without a valid certificate.
    pub insecure_registries: Vec<String>,
    /// Registries that layers may be pushed to although they are not to be redistributed, and places that such layers may be
    /// fetched from although their addresses are not public.
    pub nondistributable_artifacts: Vec<String>,
    /// Layers downloaded at the same time.
    pub max_concurrent_downloads: usize,
    /// Layers uploaded at the same time.
    pub max_concurrent_uploads: usize,
    /// Attempts at one layer before a pull fails.
    pub max_download_attempts: u32,
    /// How long a transfer may bring nothing before it is tried again.
    pub stall_timeout: Duration,
    /// How long running requests may go on once the daemon was told to stop; `None` for as long as they take.
    pub shutdown_timeout: Option<Duration>,
    /// Whether to log debug messages, whatever `log_level` says.
    pub debug: bool,
    /// The least important messages to log, in the words of `tracing`.
    pub log_level: tracing::Level,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Where to write the daemon's process ID.
    pub pidfile: Option<PathBuf>,
    /// The group that may use the unix socket. A group that was not asked for may be missing.
    pub group: Group,
    /// Where metrics are served over plain HTTP, `host:port`.
    pub metrics_addr: Option<String>,
    /// What the daemon calls itself, `name=value`.
    pub labels: Vec<String>,
    /// Switches of dockerd's, by name. None changes anything here.
    pub features: BTreeMap<String, bool>,
    /// The oldest version of the API that is answered.
    pub min_api_version: ApiVersion,
    /// Directories with certificates of registries.
    pub certs_dirs: Vec<PathBuf>,
    /// The proxies to registries.
    pub proxies: Proxies,
    /// What the user should know of the file: sentences for the log.
    pub warnings: Vec<String>,
}

impl DaemonConfig {
    /// What holds with an empty file and no flags.
    pub fn new(defaults: Defaults) -> Self {
        let limits = engine::Limits::default();
        Self {
            hosts: defaults.hosts,
            tls: None,
            insecure_tcp_routes: false,
            data_root: defaults.data_root,
            storage_driver: None,
            keep_blobs: true,
            registry_mirrors: Vec::new(),
            insecure_registries: Vec::new(),
            nondistributable_artifacts: Vec::new(),
            max_concurrent_downloads: limits.downloads,
            max_concurrent_uploads: limits.uploads,
            max_download_attempts: limits.attempts,
            stall_timeout: RegistryConfig::default().stall_timeout,
            shutdown_timeout: Some(SHUTDOWN_TIMEOUT),
            debug: false,
            log_level: tracing::Level::INFO,
            log_format: LogFormat::default(),
            pidfile: None,
            group: Group { name: DEFAULT_GROUP.to_owned(), required: false },
            metrics_addr: None,
            labels: Vec::new(),
            features: BTreeMap::new(),
            min_api_version: ApiVersion::MINIMUM,
            certs_dirs: defaults.certs_dirs,
            proxies: defaults.proxies,
            warnings: Vec::new(),
        }
    }

    /// Reads the file and puts the flags over it. A missing file is an empty one unless the user named it.
    pub fn load(
        file: &ConfigFile,
        flags: &Directives,
        defaults: Defaults,
    ) -> Result<Self, ConfigError> {
        let text = match read(&file.path) {
            Err(ConfigError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && !file.required =>
            {
                return Self::check(Merged::new("", flags)?, defaults);
            }
            other => other?,
        };
        let merged = Merged::new(&text, flags);
        let checked = merged.and_then(|merged| {
            let senseless = |error| ConfigError::Merged(Box::new(error));
            Self::check(merged, defaults).map_err(senseless)
        });
        checked.map_err(|source| ConfigError::File {
            path: file.path.clone(),
            source: Box::new(source),
        })
    }

    /// The least important messages to log.
    pub fn level(&self) -> tracing::Level {
        if self.debug { tracing::Level::DEBUG.max(self.log_level) } else { self.log_level }
    }

    /// How registries are reached.
    pub(crate) fn registry(&self, version: &str) -> RegistryConfig {
        RegistryConfig {
            mirrors: self.registry_mirrors.clone(),
            insecure: self.insecure_registries.clone(),
            nondistributable: self.nondistributable_artifacts.clone(),
            certs_dirs: self.certs_dirs.clone(),
            user_agent: format!("longshore/{version}"),
            proxy: ProxyConfig {
                http: self.proxies.http.clone(),
                https: self.proxies.https.clone(),
                all: self.proxies.all.clone(),
                no_proxy: self.proxies.no_proxy.clone(),
            },
            stall_timeout: self.stall_timeout,
            ..RegistryConfig::default()
        }
    }

    /// What a reload may change, as the attributes of its event have it.
    pub(crate) fn reloadable(&self) -> BTreeMap<String, String> {
        let list = |items: &[String]| serde_json::json!(items).to_string();
        let features: Vec<_> =
            self.features.iter().map(|(name, on)| format!("{name}:{on}")).collect();
        let timeout = self.shutdown_timeout.map_or(-1, |timeout| timeout.as_secs().cast_signed());
        [
            ("allow-nondistributable-artifacts", list(&self.nondistributable_artifacts)),
            ("debug", self.debug.to_string()),
            ("features", format!("map[{}]", features.join(" "))),
            ("insecure-registries", list(&self.insecure_registries)),
            ("labels", list(&self.labels)),
            ("max-concurrent-downloads", self.max_concurrent_downloads.to_string()),
            ("max-concurrent-uploads", self.max_concurrent_uploads.to_string()),
            ("max-download-attempts", self.max_download_attempts.to_string()),
            ("registry-mirrors", list(&self.registry_mirrors)),
            ("shutdown-timeout", timeout.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// How much may go on at once.
    pub(crate) fn limits(&self) -> engine::Limits {
        engine::Limits {
            downloads: self.max_concurrent_downloads,
            uploads: self.max_concurrent_uploads,
            attempts: self.max_download_attempts,
        }
    }
}

/// Says whether a file is `/dev/null`, by which people say that there is to be no configuration.
fn is_null_device(metadata: &std::fs::Metadata) -> bool {
    let device = metadata.rdev();
    metadata.file_type().is_char_device()
        && (rustix::fs::major(device), rustix::fs::minor(device)) == (1, 3)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    // A FIFO or a device would hold up the whole daemon when it reloads.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() && !is_null_device(&metadata) {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_SIZE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(ConfigError::File {
            path: path.to_owned(),
            source: Box::new(ConfigError::TooLarge),
        });
    }
    Ok(text)
}
