//! The command line: global flags and the tree of verbs.
//!
//! Names and letters of flags are Docker's; the flags of each verb are in the verb's own file. Flags that Docker has
//! not carry a sentence of their own in the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::verbs::{
    check, completion, daemon, df, dial_stdio, events, help, history, images, import, info,
    inspect, load, login, logout, man, manifest, mount, prune, pull, push, registry, rmi, save,
    search, tag, unpack, version,
};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    about = "A Docker image engine: pull, push and keep images, with a daemon or without",
    override_usage = "longshore [OPTIONS] COMMAND",
    after_help = "Run 'longshore COMMAND --help' for more information on a command.",
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_override_self = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands"
)]
pub(crate) struct CommandLine {
    /// Print version information and quit
    #[arg(short = 'v', long = "version")]
    pub(crate) version: bool,
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// The flags before the verb. Those without a letter may also stand after it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global Options")]
pub(crate) struct Globals {
    /// Location of client config files (default "~/.docker")
    #[arg(
        long,
        global = true,
        env = "DOCKER_CONFIG",
        hide_env_values = true,
        value_name = "string"
    )]
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

/// How the way to a daemon is secured.
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
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = crate::usage::parse_boolean,
        value_name = "bool"
    )]
    pub(crate) tlsverify: Option<bool>,
}

impl Globals {
    /// Returns the least important level to log; none is logged unless it is asked for.
    pub(crate) fn level(&self) -> Option<tracing::Level> {
        if self.debug { Some(tracing::Level::DEBUG) } else { self.log_level.map(LogLevel::level) }
    }
}

/// What the engine in this process is told; a daemon takes the same flags for itself.
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
    /// Ask this mirror first for images of Docker Hub
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) registry_mirror: Vec<String>,
}

/// How much is logged to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Pull(pull::Arguments),
    Push(push::Arguments),
    Images(images::Arguments),
    History(history::Arguments),
    Events(events::Arguments),
    Login(login::Arguments),
    Logout(logout::Arguments),
    Version(version::Arguments),
    Info(info::Arguments),
    Inspect(inspect::Arguments),
    Rmi(rmi::Arguments),
    Save(save::Arguments),
    Load(load::Arguments),
    Prune(prune::Arguments),
    Import(import::Arguments),
    Search(search::Arguments),
    Tag(tag::Arguments),
    Unpack(unpack::Arguments),
    /// Manage Docker image manifests and manifest lists
    #[command(
        subcommand,
        override_usage = "longshore manifest COMMAND",
        disable_help_subcommand = true
    )]
    Manifest(ManifestVerb),
    Mount(mount::Arguments),
    Umount(mount::UmountArguments),
    /// Manage images
    #[command(
        subcommand,
        override_usage = "longshore image COMMAND",
        disable_help_subcommand = true
    )]
    Image(ImageVerb),
    /// Manage Longshore
    #[command(
        subcommand,
        override_usage = "longshore system COMMAND",
        disable_help_subcommand = true
    )]
    System(SystemVerb),
    Daemon(Box<daemon::Arguments>),
    Registry(registry::Arguments),
    Completion(completion::Arguments),
    #[command(hide = true)]
    Man(man::Arguments),
    #[command(hide = true)]
    Help(help::Arguments),
}

impl Verb {
    /// Says whether the verb only asks, or changes a name: it moves no layers, so that one thread does it best.
    pub(crate) fn is_quick(&self) -> bool {
        match self {
            Verb::Images(_)
            | Verb::History(_)
            | Verb::Inspect(_)
            | Verb::Tag(_)
            | Verb::Version(_)
            | Verb::Info(_) => true,
            // A check may read every file and fetch what is damaged.
            Verb::System(verb) => !matches!(verb, SystemVerb::Check(_)),
            Verb::Image(verb) => matches!(
                verb,
                ImageVerb::Ls(_)
                    | ImageVerb::History(_)
                    | ImageVerb::Inspect(_)
                    | ImageVerb::Tag(_)
            ),
            _ => false,
        }
    }
}

impl Verb {
    /// Says whether the verb is about images that are kept. The others are about registries alone, and work without a data
    /// root.
    pub(crate) fn needs_store(&self) -> bool {
        !matches!(
            self,
            Verb::Login(_)
                | Verb::Logout(_)
                | Verb::Manifest(_)
                | Verb::Registry(_)
                | Verb::Search(_)
                | Verb::Version(_)
        )
    }
}

/// The verbs of `longshore manifest`.
#[derive(Debug, Subcommand)]
pub(crate) enum ManifestVerb {
    Inspect(manifest::Arguments),
}

/// The verbs of `longshore image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    #[command(override_usage = "longshore image pull [OPTIONS] NAME[:TAG|@DIGEST]")]
    Pull(pull::Arguments),
    #[command(override_usage = "longshore image push [OPTIONS] NAME[:TAG]")]
    Push(push::Arguments),
    #[command(alias = "list", override_usage = "longshore image ls [OPTIONS] [REPOSITORY[:TAG]]")]
    Ls(images::Arguments),
    #[command(override_usage = "longshore image history [OPTIONS] IMAGE")]
    History(history::Arguments),
    #[command(override_usage = "longshore image tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")]
    Tag(tag::Arguments),
    #[command(
        aliases = ["rmi", "remove"],
        override_usage = "longshore image rm [OPTIONS] IMAGE [IMAGE...]"
    )]
    Rm(rmi::Arguments),
    #[command(override_usage = "longshore image prune [OPTIONS]")]
    Prune(prune::Arguments),
    Inspect(inspect::ImageArguments),
    #[command(override_usage = "longshore image save [OPTIONS] IMAGE [IMAGE...]")]
    Save(save::Arguments),
    #[command(override_usage = "longshore image load [OPTIONS]")]
    Load(load::Arguments),
    #[command(override_usage = "longshore image import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]")]
    Import(import::Arguments),
}

/// The verbs of `longshore system`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    Df(df::Arguments),
    #[command(override_usage = "longshore system events [OPTIONS]")]
    Events(events::Arguments),
    #[command(override_usage = "longshore system info [OPTIONS]")]
    Info(info::Arguments),
    #[command(hide = true)]
    DialStdio(dial_stdio::Arguments),
    Check(check::Arguments),
}
