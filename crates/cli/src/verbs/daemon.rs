//! `longshore daemon`

use daemon::{DaemonConfig, DaemonInfo, Directives, LogFormat, RunError};

use super::version::{BUILD_TIME, COMMIT, VERSION};
use crate::arguments::{Globals, LogLevel};
use crate::error::CliError;
use crate::logging;
use crate::session::Environment;
use crate::{settings, signals};

/// Run the daemon: the Docker Engine API for images
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore daemon [OPTIONS]")]
pub(crate) struct Arguments {
    /// Daemon socket(s) to listen on: unix:///PATH or tcp://HOST:PORT (plain HTTP); default
    /// "unix:///run/longshore.sock" for root, else "unix://$XDG_RUNTIME_DIR/longshore.sock"
    #[arg(short = 'H', long = "host", id = "listen", value_name = "list")]
    hosts: Vec<String>,
    /// Group for the unix socket (default "docker")
    #[arg(short = 'G', long, value_name = "string")]
    group: Option<String>,
    /// Path to use for daemon PID file
    #[arg(short = 'p', long, value_name = "string")]
    pidfile: Option<String>,
    /// Keep compressed layers beside the unpacked ones: pushes are byte for byte, and the disk that compressed layers
    /// take about doubles (default true)
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    keep_blobs: Option<bool>,
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
}

/// Runs the daemon until a signal ends it. SIGHUP reads the configuration file again.
pub(crate) async fn run(
    arguments: Arguments,
    globals: &Globals,
    environment: Environment,
) -> Result<(), CliError> {
    let directives = Directives {
        hosts: (!arguments.hosts.is_empty()).then_some(arguments.hosts),
        keep_blobs: arguments.keep_blobs,
        max_concurrent_downloads: arguments.max_concurrent_downloads,
        max_concurrent_uploads: arguments.max_concurrent_uploads,
        max_download_attempts: arguments.max_download_attempts,
        debug: (arguments.debug || globals.debug).then_some(true),
        log_level: arguments.log_level.or(globals.log_level).map(|level| level.name().to_owned()),
        log_format: arguments.log_format,
        pidfile: arguments.pidfile,
        group: arguments.group,
        ..Directives::default()
    };
    let (config, file, directives) = settings::daemon(&globals.engine, directives, &environment)?;
    let level = if config.debug { tracing::Level::DEBUG } else { config.log_level };
    logging::start(Some(level), config.log_format == LogFormat::Json);
    let info = DaemonInfo {
        version: VERSION.to_owned(),
        git_commit: COMMIT.to_owned(),
        build_time: BUILD_TIME.to_owned(),
        config,
    };
    let ready = |listeners: &[daemon::Listener]| {
        for listener in listeners {
            if let Ok(address) = listener.local() {
                tracing::info!(%address, "API listens");
            }
        }
    };
    let reload = move || DaemonConfig::load(&file, &directives, settings::defaults(&environment));
    // The daemon hears the first signal itself; who sends a second one does not want to wait for requests that run.
    drop(signals::termination()?);
    daemon::run(info, ready, reload).await.map_err(|error| match error {
        RunError::Engine(_) => CliError::DataRoot(error.to_string()),
        _ => CliError::Serve(error.to_string()),
    })
}
