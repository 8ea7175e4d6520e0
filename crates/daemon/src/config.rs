//! How a daemon is set up: `daemon.json`, the flags, and what holds where neither says anything.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use registry::{ProxyConfig, RegistryConfig};
use store::DriverKind;
use thiserror::Error;

use crate::directives::Directives;
use crate::listen::{Host, HostError};

/// The largest `daemon.json` that is read, in bytes. Those in use have some hundred.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// The group of the socket unless another is named.
const DEFAULT_GROUP: &str = "docker";

/// Why a configuration cannot be used. Texts of faults that dockerd knows are dockerd's.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("unable to configure the daemon with file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file, or the file and the flags together, make no configuration.
    #[error("unable to configure the daemon with file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// The file is larger than any that makes sense.
    #[error("larger than {MAX_FILE_SIZE} bytes")]
    TooLarge,
    /// The file is no JSON object, or a directive has a value of another type than its own.
    #[error("invalid JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The file has directives that nobody knows.
    #[error("the following directives don't match any configuration option: {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// Directives are in the file and on the command line.
    #[error(
        "the following directives are specified both as a flag and in the configuration file: {}",
        .0.join(", ")
    )]
    Conflict(Vec<String>),
    /// A host to listen on makes no sense.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A number is out of its range.
    #[error("invalid {name}: {value}")]
    Number {
        /// What the number is for.
        name: &'static str,
        /// The number.
        value: i64,
    },
    /// The log level is none that dockerd knows.
    #[error("invalid logging level: {0}")]
    LogLevel(String),
    /// The log format is neither `text` nor `json`.
    #[error("invalid log format: {0}")]
    LogFormat(String),
    /// A mirror, an insecure registry or a proxy makes no sense.
    #[error(transparent)]
    Registry(registry::RegistryError),
    /// There is no such storage driver.
    #[error("unknown storage driver {0:?}: use overlay2 or packed")]
    StorageDriver(String),
}

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
    pub hosts: Vec<Host>,
    /// Directories with certificates of registries, each as dockerd's `/etc/docker/certs.d`.
    pub certs_dirs: Vec<PathBuf>,
    /// The proxies to registries, which are the environment's.
    pub proxies: Proxies,
}

/// Proxies, as the variables of the same names give them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<String>,
    /// For HTTPS.
    pub https: Option<String>,
    /// What is reached without a proxy.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for Proxies {
    /// Prints no password that a proxy's URL may hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.as_deref().map(mask_credentials))
            .field("https", &self.https.as_deref().map(mask_credentials))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// A proxy's URL without the user and password that it may hold.
pub(crate) fn mask_credentials(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}xxxxx:xxxxx{}", &rest[at..]),
        None => url.to_owned(),
    }
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

/// A daemon's configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Where to listen.
    pub hosts: Vec<Host>,
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
    /// Layers downloaded at the same time.
    pub max_concurrent_downloads: usize,
    /// Layers uploaded at the same time.
    pub max_concurrent_uploads: usize,
    /// Attempts at one layer before a pull fails.
    pub max_download_attempts: u32,
    /// How long a transfer may bring nothing before it is tried again.
    pub stall_timeout: Duration,
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
    /// Directories with certificates of registries.
    pub certs_dirs: Vec<PathBuf>,
    /// The proxies to registries.
    pub proxies: Proxies,
}

/// The group of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name or number.
    pub name: String,
    /// Whether the user named it, so that it must exist.
    pub required: bool,
}

impl DaemonConfig {
    /// What holds with an empty file and no flags.
    pub fn new(defaults: Defaults) -> Self {
        let limits = engine::Limits::default();
        Self {
            hosts: defaults.hosts,
            data_root: defaults.data_root,
            storage_driver: None,
            keep_blobs: true,
            registry_mirrors: Vec::new(),
            insecure_registries: Vec::new(),
            max_concurrent_downloads: limits.downloads,
            max_concurrent_uploads: limits.uploads,
            max_download_attempts: limits.attempts,
            stall_timeout: RegistryConfig::default().stall_timeout,
            debug: false,
            log_level: tracing::Level::INFO,
            log_format: LogFormat::default(),
            pidfile: None,
            group: Group { name: DEFAULT_GROUP.to_owned(), required: false },
            certs_dirs: defaults.certs_dirs,
            proxies: defaults.proxies,
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
                String::new()
            }
            other => other?,
        };
        Directives::merge(&text, flags)
            .and_then(|directives| Self::check(directives, defaults))
            .map_err(|source| ConfigError::File {
                path: file.path.clone(),
                source: Box::new(source),
            })
    }

    fn check(directives: Directives, defaults: Defaults) -> Result<Self, ConfigError> {
        let mut config = Self::new(defaults);
        if let Some(hosts) = directives.hosts.filter(|hosts| !hosts.is_empty()) {
            config.hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>()?;
        }
        if let Some(root) = directives.data_root.filter(|root| !root.is_empty()) {
            config.data_root = root.into();
        }
        if let Some(driver) = directives.storage_driver.filter(|driver| !driver.is_empty()) {
            let kind =
                DriverKind::from_str(&driver).map_err(|_| ConfigError::StorageDriver(driver))?;
            config.storage_driver = Some(kind);
        }
        config.keep_blobs = directives.keep_blobs.unwrap_or(config.keep_blobs);
        config.registry_mirrors = directives.registry_mirrors.unwrap_or_default();
        config.insecure_registries = directives.insecure_registries.unwrap_or_default();
        number(
            "max concurrent downloads",
            directives.max_concurrent_downloads,
            &mut config.max_concurrent_downloads,
        )?;
        number(
            "max concurrent uploads",
            directives.max_concurrent_uploads,
            &mut config.max_concurrent_uploads,
        )?;
        number(
            "max download attempts",
            directives.max_download_attempts,
            &mut config.max_download_attempts,
        )?;
        let mut seconds = config.stall_timeout.as_secs();
        number("stall timeout", directives.stall_timeout, &mut seconds)?;
        config.stall_timeout = Duration::from_secs(seconds);
        config.debug = directives.debug.unwrap_or(config.debug);
        if let Some(level) = directives.log_level.filter(|level| !level.is_empty()) {
            config.log_level = log_level(level)?;
        }
        config.log_format = match directives.log_format.as_deref() {
            None | Some("" | "text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(ConfigError::LogFormat(other.to_owned())),
        };
        config.pidfile = directives.pidfile.filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(name) = directives.group {
            config.group = Group { required: !name.is_empty(), name };
        }
        config.registry("").validate().map_err(ConfigError::Registry)?;
        Ok(config)
    }

    /// How registries are reached.
    pub(crate) fn registry(&self, version: &str) -> RegistryConfig {
        RegistryConfig {
            mirrors: self.registry_mirrors.clone(),
            insecure: self.insecure_registries.clone(),
            certs_dirs: self.certs_dirs.clone(),
            user_agent: format!("longshore/{version}"),
            proxy: ProxyConfig {
                http: self.proxies.http.clone(),
                https: self.proxies.https.clone(),
                no_proxy: self.proxies.no_proxy.clone(),
            },
            stall_timeout: self.stall_timeout,
            ..RegistryConfig::default()
        }
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

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    // A FIFO or a device would hold up the whole daemon when it reloads.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
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

/// Takes over a number that is given. Zero is Docker's way to say "the default".
fn number<T: TryFrom<i64>>(
    name: &'static str,
    given: Option<i64>,
    target: &mut T,
) -> Result<(), ConfigError> {
    if let Some(value) = given.filter(|value| *value != 0) {
        *target = T::try_from(value).map_err(|_| ConfigError::Number { name, value })?;
    }
    Ok(())
}

/// The level that a name of dockerd's means.
fn log_level(name: String) -> Result<tracing::Level, ConfigError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "panic" | "fatal" | "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "info" => tracing::Level::INFO,
        "debug" => tracing::Level::DEBUG,
        "trace" => tracing::Level::TRACE,
        _ => return Err(ConfigError::LogLevel(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            data_root: "/data".into(),
            hosts: vec![Host::Unix("/run/x.sock".into())],
            certs_dirs: vec!["/certs".into()],
            proxies: Proxies {
                http: Some("http://me:s3cret@proxy:3128/".into()),
                ..Proxies::default()
            },
        }
    }

    fn load(text: &str) -> Result<DaemonConfig, ConfigError> {
        let directives = Directives::merge(text, &Directives::default())?;
        DaemonConfig::check(directives, defaults())
    }

    #[test]
    fn a_whole_file_is_taken_over() {
        let config = load(
            r#"{"hosts": ["tcp://127.0.0.1:2375", "unix:///tmp/l.sock"], "data-root": "/d",
                "storage-driver": "packed", "keep-blobs": false, "registry-mirrors": ["https://m"],
                "insecure-registries": ["10.0.0.0/8"], "max-concurrent-downloads": 8, "max-concurrent-uploads": 2,
                "max-download-attempts": 1, "debug": true, "log-level": "WARN", "log-format": "json",
                "pidfile": "/run/l.pid", "group": "wheel"}"#,
        )
        .unwrap();
        assert_eq!(
            config.hosts,
            [Host::Tcp("127.0.0.1:2375".into()), Host::Unix("/tmp/l.sock".into())]
        );
        assert_eq!(config.data_root, Path::new("/d"));
        assert_eq!(
            config.storage_driver.map(|driver| driver.to_string()).as_deref(),
            Some("packed")
        );
        assert!(!config.keep_blobs && config.debug);
        assert_eq!(config.limits(), engine::Limits { downloads: 8, uploads: 2, attempts: 1 });
        assert_eq!((config.log_level, config.log_format), (tracing::Level::WARN, LogFormat::Json));
        assert_eq!(config.pidfile.as_deref(), Some(Path::new("/run/l.pid")));
        assert_eq!(config.group, Group { name: "wheel".into(), required: true });
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        let plain = DaemonConfig::new(defaults());
        assert_eq!(load("").unwrap(), plain);
        let zeros = r#"{"hosts":[],"data-root":"","max-concurrent-downloads":0,"log-level":"","pidfile":""}"#;
        assert_eq!(load(zeros).unwrap(), plain);
        assert_eq!(plain.limits(), engine::Limits { downloads: 3, uploads: 5, attempts: 5 });
        assert!(plain.keep_blobs && !plain.group.required);
    }

    #[test]
    fn senseless_values_are_refused_in_dockerds_words() {
        let table = [
            (r#"{"max-concurrent-downloads":-1}"#, "invalid max concurrent downloads: -1"),
            (r#"{"max-concurrent-uploads":-2}"#, "invalid max concurrent uploads: -2"),
            (
                r#"{"max-download-attempts":4294967296}"#,
                "invalid max download attempts: 4294967296",
            ),
            (r#"{"log-level":"loud"}"#, "invalid logging level: loud"),
            (r#"{"log-format":"xml"}"#, "invalid log format: xml"),
            (
                r#"{"storage-driver":"aufs"}"#,
                "unknown storage driver \"aufs\": use overlay2 or packed",
            ),
            (r#"{"hosts":["ftp://x"]}"#, "invalid bind address (ftp://x): unsupported proto 'ftp'"),
        ];
        for (text, expected) in table {
            assert_eq!(load(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_proxys_password_is_shown_to_nobody() {
        let table = [
            ("http://me:s3cret@proxy:3128/x@y", "http://xxxxx:xxxxx@proxy:3128/x@y"),
            ("me@proxy", "xxxxx:xxxxx@proxy"),
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://a@b:s3cret@proxy", "http://xxxxx:xxxxx@proxy"),
        ];
        for (url, expected) in table {
            assert_eq!(mask_credentials(url), expected);
        }
        let debug = format!("{:?}", DaemonConfig::new(defaults()));
        assert!(debug.contains("proxy:3128") && !debug.contains("s3cret"), "{debug}");
    }

    #[test]
    fn a_file_is_needed_only_when_it_was_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.json");
        let load = |required| {
            let file = ConfigFile { path: path.clone(), required };
            DaemonConfig::load(&file, &Directives::default(), defaults())
        };
        assert_eq!(load(false).unwrap(), DaemonConfig::new(defaults()));
        let error = load(true).unwrap_err().to_string();
        assert!(
            error.contains(&*path.to_string_lossy()) && error.contains("No such file"),
            "{error}"
        );

        std::fs::write(&path, r#"{"debug": true}"#).unwrap();
        assert!(load(false).unwrap().debug);

        std::fs::write(&path, r#"{"bogus": true}"#).unwrap();
        let expected = format!(
            "unable to configure the daemon with file {}: the following directives don't match any configuration \
             option: bogus",
            path.display()
        );
        assert_eq!(load(false).unwrap_err().to_string(), expected);
    }
}
