//! `longshore daemon`

use std::path::PathBuf;
use std::sync::Arc;

use daemon::{
    ConfigError, ConfigFile, DaemonConfig, DaemonInfo, Defaults, Directives, KeepBlobsDirective,
    Listener, LogFormat, Process, RunError, Tls,
};

use crate::build_info::{BUILD_TIME, COMMIT, VERSION};
use crate::credentials::Keyring;
use crate::environment::Environment;
use crate::error::CliError;
use crate::globals::{Globals, LogLevel};
use crate::logging::{self, Threshold};
use crate::values::boolean;
use crate::{limits, output, settings, signals};

/// Run the daemon: the Docker Engine API for images
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore daemon [OPTIONS]")]
pub(crate) struct Arguments {
    /// Daemon socket(s) to listen on: unix:///PATH, tcp://HOST:PORT or fd:// (of the service manager); default
    /// "unix:///run/longshore.sock" for root, else "unix://$XDG_RUNTIME_DIR/longshore.sock"
    #[arg(short = 'H', long = "host", id = "listen", value_name = "list")]
    hosts: Vec<String>,
    /// Group for the unix socket (default "docker")
    #[arg(short = 'G', long, value_name = "string")]
    group: Option<String>,
    /// Path to use for daemon PID file
    #[arg(short = 'p', long, value_name = "string")]
    pidfile: Option<String>,
    /// Keep "all" content of images that are unpacked, so that pushes are byte for byte, or only "manifests" without compressed
    /// layers, which take about half of the disk and are made anew by a push (default "all")
    #[arg(
        long,
        value_name = "string",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    keep_blobs: Option<String>,
    /// Set the max concurrent downloads (default 3)
    #[arg(long, value_name = "int")]
    max_concurrent_downloads: Option<i64>,
    /// Set the max concurrent uploads (default 5)
    #[arg(long, value_name = "int")]
    max_concurrent_uploads: Option<i64>,
    /// Set the max download attempts for each pull (default 5)
    #[arg(long, value_name = "int")]
    max_download_attempts: Option<i64>,
    /// Enable debug mode
    #[arg(short = 'D', long, id = "daemon-debug")]
    debug: bool,
    /// Set the logging level ("debug", "info", "warn", "error", "fatal")
    #[arg(short = 'l', long = "log-level", id = "daemon-log-level", value_name = "string")]
    log_level: Option<LogLevel>,
    /// Set the logging format ("text", "json")
    #[arg(long, value_name = "string")]
    log_format: Option<String>,
    /// Use TLS; implied by --tlsverify
    #[arg(long, id = "daemon-tls")]
    tls: Option<bool>,
    /// Trust certs signed only by this CA (default "~/.docker/ca.pem")
    #[arg(long, id = "daemon-tlscacert", value_name = "string")]
    tlscacert: Option<String>,
    /// Path to TLS certificate file (default "~/.docker/cert.pem")
    #[arg(long, id = "daemon-tlscert", value_name = "string")]
    tlscert: Option<String>,
    /// Path to TLS key file (default "~/.docker/key.pem")
    #[arg(long, id = "daemon-tlskey", value_name = "string")]
    tlskey: Option<String>,
    /// Use TLS and verify the remote
    #[arg(long, id = "daemon-tlsverify")]
    tlsverify: Option<bool>,
    /// Answer Longshore's own routes (unpack, mount, system check ...) over TCP without TLS, too
    #[arg(long)]
    insecure_tcp_routes: Option<bool>,
    /// Authorization plugins to load: there are none, so that the daemon does not start
    #[arg(long = "authorization-plugin", value_name = "list", hide = true)]
    authorization_plugins: Vec<String>,
    /// User/Group setting for user namespaces: nothing is shifted, so that the daemon does not start
    #[arg(long, value_name = "string", hide = true)]
    userns_remap: Option<String>,
    /// Set default address and port to serve the metrics api on
    #[arg(long, value_name = "string")]
    metrics_addr: Option<String>,
    /// Set key=value labels to the daemon
    #[arg(long = "label", value_name = "list")]
    labels: Vec<String>,
    /// Enable feature in the daemon
    #[arg(long = "feature", value_name = "map", value_parser = feature)]
    features: Vec<(String, bool)>,
    /// Storage driver options
    #[arg(long = "storage-opt", value_name = "list")]
    storage_opts: Vec<String>,
    /// Set the default shutdown timeout: how long running requests may go on, in seconds (default 15)
    #[arg(long, value_name = "int", allow_negative_numbers = true)]
    shutdown_timeout: Option<i64>,
    /// HTTP proxy URL to use for outgoing traffic
    #[arg(long, value_name = "string")]
    http_proxy: Option<String>,
    /// HTTPS proxy URL to use for outgoing traffic
    #[arg(long, value_name = "string")]
    https_proxy: Option<String>,
    /// Comma-separated list of hosts or IP addresses for which the proxy is skipped
    #[arg(long, value_name = "string")]
    no_proxy: Option<String>,
    /// Full timestamps without ANSI coloring, which is always so
    #[arg(long, hide = true)]
    raw_logs: bool,
    /// Root directory for execution state files; nothing is executed here
    #[arg(long, hide = true)]
    exec_root: Option<String>,
    /// Validate daemon configuration and exit
    #[arg(long)]
    validate: bool,
}

/// Reads `name` or `name=bool`.
fn feature(text: &str) -> Result<(String, bool), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "true"));
    Ok((name.to_owned(), boolean(value)?))
}

impl Arguments {
    fn directives(self, globals: &Globals) -> Directives {
        fn some<T, L: Default + PartialEq + FromIterator<T>>(items: Vec<T>) -> Option<L> {
            Some(L::from_iter(items)).filter(|items| *items != L::default())
        }
        // Said before the verb it is the same: where a client would connect, the daemon listens.
        let hosts = globals.host.iter().cloned().chain(self.hosts).collect();
        let tls = &globals.tls;
        let path = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        Directives {
            hosts: some(hosts),
            keep_blobs: self.keep_blobs.map(KeepBlobsDirective::Word),
            storage_opts: some(self.storage_opts),
            max_concurrent_downloads: self.max_concurrent_downloads,
            max_concurrent_uploads: self.max_concurrent_uploads,
            max_download_attempts: self.max_download_attempts,
            shutdown_timeout: self.shutdown_timeout,
            http_proxy: self.http_proxy,
            https_proxy: self.https_proxy,
            no_proxy: self.no_proxy,
            tls: self.tls.or(tls.tls.then_some(true)),
            tlsverify: self.tlsverify.or(tls.tlsverify),
            tlscacert: self.tlscacert.or_else(|| path(tls.tlscacert.as_ref())),
            tlscert: self.tlscert.or_else(|| path(tls.tlscert.as_ref())),
            tlskey: self.tlskey.or_else(|| path(tls.tlskey.as_ref())),
            metrics_addr: self.metrics_addr,
            labels: some(self.labels),
            features: some(self.features),
            debug: (self.debug || globals.debug).then_some(true),
            log_level: self
                .log_level
                .or(globals.log_level)
                .and_then(LogLevel::name)
                .map(str::to_owned),
            log_format: self.log_format,
            raw_logs: self.raw_logs.then_some(true),
            pidfile: self.pidfile,
            group: self.group,
            authorization_plugins: some(self.authorization_plugins),
            userns_remap: self.userns_remap,
            insecure_tcp_routes: self.insecure_tcp_routes,
            // Flags of the engine, which `settings` adds.
            data_root: None,
            storage_driver: None,
            image_policy: None,
            insecure_registries: None,
            registry_mirrors: None,
            // Keys without a flag. No `..`: each new directive is decided on here.
            allow_nondistributable_artifacts: None,
            allow_schema1: None,
            graph: None,
            image_verifiers: None,
            min_api_version: None,
            prune: None,
            stall_timeout: None,
        }
    }
}

/// The daemon's hold of this process.
struct Outside {
    file: ConfigFile,
    flags: Directives,
    defaults: Defaults,
    threshold: Threshold,
}

impl Process for Outside {
    fn listening(&self, listeners: &[Listener]) {
        for listener in listeners {
            if let Ok(address) = listener.local() {
                tracing::info!(%address, "API listens");
            }
        }
    }

    fn configuration(&self) -> Result<DaemonConfig, ConfigError> {
        DaemonConfig::load(&self.file, &self.flags, self.defaults.clone())
    }

    fn configured(&self, config: &DaemonConfig) {
        self.threshold.set(config.level());
    }
}

/// Runs the daemon until a signal ends it. SIGHUP reads the configuration file again.
pub(crate) async fn run(
    arguments: Arguments,
    globals: &Globals,
    environment: Environment,
) -> Result<(), CliError> {
    let validate = arguments.validate;
    let directives = arguments.directives(globals);
    let (config, file, flags) = settings::daemon(&globals.engine, directives, &environment)?;
    let failed = |error: &dyn std::error::Error| CliError::Serve(error.to_string());
    if validate {
        config.tls_files().map(Tls::load).transpose().map_err(|error| failed(&error))?;
        for warning in &config.warnings {
            output::warn_line(&format!("WARNING: {warning}"));
        }
        // On standard error, as dockerd.
        output::warn_line("configuration OK");
        return Ok(());
    }
    let threshold = logging::start(config.level(), config.log_format == LogFormat::Json);
    limits::open_many_files();
    let activation = environment.activation.clone().take();
    let defaults = settings::defaults(&environment);
    let own = globals.config.clone().unwrap_or_else(|| environment.config_directory());
    let info = DaemonInfo {
        version: VERSION.to_owned(),
        git_commit: COMMIT.to_owned(),
        build_time: BUILD_TIME.to_owned(),
        config,
        credentials: Some(Arc::new(Keyring::new(own))),
    };
    let outside = Outside { file, flags, defaults, threshold };
    // The daemon hears the first signal itself; who sends a second one does not want to wait for requests that run.
    drop(signals::termination()?);
    daemon::run(info, activation, &outside).await.map_err(|error| match error {
        RunError::Engine(_) => CliError::DataRoot(error.to_string()),
        _ => failed(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_as_dockerd_reads_them() {
        for (text, expected) in [
            ("x", Ok(("x".to_owned(), true))),
            ("x=false", Ok(("x".to_owned(), false))),
            ("x=1", Ok(("x".to_owned(), true))),
            ("x=y", Err("strconv.ParseBool: parsing \"y\": invalid syntax".to_owned())),
        ] {
            assert_eq!(feature(text), expected);
        }
    }
}
