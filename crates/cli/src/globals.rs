//! Flags that every verb has: the daemon that is meant, the way to it, and the engine where there is none.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use tracing::Level;

/// The flags before the verb. Those without a letter may also stand after it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global Options")]
pub(crate) struct Globals {
    /// Location of client config files (default "~/.docker")
    #[arg(long, env = "DOCKER_CONFIG", hide_env_values = true, value_name = "string")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set with
    /// "docker context use")
    #[arg(short = 'c', long, value_name = "string")]
    pub(crate) context: Option<String>,
    /// Enable debug mode
    #[arg(short = 'D', long)]
    pub(crate) debug: bool,
    /// Daemon socket to connect to (also LONGSHORE_HOST, DOCKER_HOST); without one, or with a data root or storage
    /// driver, the engine runs in this process
    #[arg(short = 'H', long = "host", value_name = "string")]
    pub(crate) host: Option<String>,
    /// Set the logging level ("debug", "info", "warn", "error", "fatal")
    #[arg(short = 'l', long, value_name = "string")]
    pub(crate) log_level: Option<LogLevel>,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
    #[command(flatten)]
    pub(crate) engine: EngineFlags,
}

/// The TLS on the way to a daemon.
#[derive(Args, Clone, Debug)]
pub(crate) struct TlsFlags {
    /// Use TLS; implied by --tlsverify
    #[arg(long)]
    pub(crate) tls: bool,
    /// Trust certs signed only by this CA (default "~/.docker/ca.pem")
    #[arg(long, value_name = "string")]
    pub(crate) tlscacert: Option<PathBuf>,
    /// Path to TLS certificate file (default "~/.docker/cert.pem")
    #[arg(long, value_name = "string")]
    pub(crate) tlscert: Option<PathBuf>,
    /// Path to TLS key file (default "~/.docker/key.pem")
    #[arg(long, value_name = "string")]
    pub(crate) tlskey: Option<PathBuf>,
    /// Use TLS and verify the remote
    #[arg(long)]
    pub(crate) tlsverify: Option<bool>,
}

impl Globals {
    /// Returns the least important level to log; none is logged unless it is asked for.
    pub(crate) fn level(&self) -> Option<Level> {
        if self.debug { Some(Level::DEBUG) } else { self.log_level.and_then(LogLevel::level) }
    }
}

/// Settings of the engine in this process; a daemon takes the same flags for itself.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Engine Options (without a daemon, and for `longshore daemon`)")]
pub(crate) struct EngineFlags {
    /// Daemon configuration file; without this flag "/etc/longshore/daemon.json" is read if it exists
    #[arg(long, global = true, value_name = "file")]
    pub(crate) config_file: Option<PathBuf>,
    /// Root directory of images (also LONGSHORE_DATA_ROOT; default "/var/lib/longshore" for root, else
    /// "~/.local/share/longshore")
    #[arg(long, global = true, value_name = "directory")]
    pub(crate) data_root: Option<PathBuf>,
    /// Storage driver: overlay2 or packed (default: what the data root holds, or the best that works)
    #[arg(long, global = true, value_name = "string")]
    pub(crate) storage_driver: Option<String>,
    /// Look here first for the certificates and the hosts.toml of registries, each in a directory of the registry's name
    /// (then in "/etc/longshore/certs.d" and "/etc/docker/certs.d")
    #[arg(long, global = true, value_name = "directory")]
    pub(crate) certs_dir: Vec<PathBuf>,
    /// Reach this registry, or the registries of this network, over plain HTTP or with any certificate
    #[arg(long, global = true, value_name = "registry")]
    pub(crate) insecure_registry: Vec<String>,
    /// Pull and copy only what this policy allows, a "policy.json" of containers/image: signatures of cosign, scopes, rejections
    // What is empty is told by its own sentence, and not as a flag that lacks its value.
    #[arg(long, global = true, value_name = "file", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(crate) image_policy: Option<PathBuf>,
    /// Ask this mirror first for images of Docker Hub
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) registry_mirror: Vec<String>,
}

/// The least important lines that are logged to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
    /// An empty text, which says nothing.
    #[value(name = "", hide = true)]
    Unset,
}

impl LogLevel {
    /// Returns the name that Docker has for the level.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            LogLevel::Debug => Some("debug"),
            LogLevel::Info => Some("info"),
            LogLevel::Warn => Some("warn"),
            LogLevel::Error => Some("error"),
            LogLevel::Fatal => Some("fatal"),
            LogLevel::Unset => None,
        }
    }

    /// Returns the level itself; what is fatal is told as the command's error in any case.
    fn level(self) -> Option<Level> {
        match self {
            LogLevel::Debug => Some(Level::DEBUG),
            LogLevel::Info => Some(Level::INFO),
            LogLevel::Warn => Some(Level::WARN),
            LogLevel::Error | LogLevel::Fatal => Some(Level::ERROR),
            LogLevel::Unset => None,
        }
    }
}
