//! A daemon's life: from its configuration to the signal that ends it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use engine::EngineError;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::notify::Notifier;
use super::pid_file::PidFile;
use crate::config::{ConfigError, DaemonConfig, ListenAddress, TlsMode};
use crate::daemon::{Daemon, DaemonInfo, open_engine};
use crate::metrics;
use crate::prune::schedule;
use crate::server::listener::{InheritedSocket, ListenError, Listener};
use crate::server::tls::{Tls, TlsError};

/// Error for which a daemon does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The data root cannot be opened.
    #[error("failed to start daemon: {}", .0.message())]
    Engine(#[source] Box<EngineError>),
    /// An address cannot be listened on.
    #[error("failed to load listeners: {0}")]
    Listen(#[from] ListenError),
    /// There is no address to listen on.
    #[error(
        "failed to start daemon: no host to listen on: give one with -H, as in -H unix:///PATH/longshore.sock, or set \
         XDG_RUNTIME_DIR"
    )]
    NoHost,
    /// The pidfile cannot be written, or names a process that lives.
    #[error("failed to start daemon, ensure it is not running or delete {}: {source}", path.display())]
    PidFile {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        source: io::Error,
    },
    /// The address of the metrics cannot be listened on.
    #[error("failed to start metrics server: listen tcp {address}: {source}")]
    Metrics {
        /// Host and port of `metrics-addr`.
        address: String,
        /// Error of the system.
        source: io::Error,
    },
    /// Certificates or keys are not what they should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system does not let the process hear signals.
    #[error("failed to start daemon: signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
}

/// Services to a daemon of the process that it runs in.
pub trait Process {
    /// Connections are accepted on these addresses from now on.
    fn listening(&self, listeners: &[Listener]);
    /// Reads the configuration again.
    fn configuration(&self) -> Result<DaemonConfig, ConfigError>;
    /// A new configuration holds: how log lines are written may have changed.
    fn configured(&self, config: &DaemonConfig);
}

/// Gifts of the service manager to the process.
#[derive(Debug, Default)]
pub struct Activation {
    /// Sockets that listen already.
    pub sockets: Vec<InheritedSocket>,
    /// The way to tell how it goes.
    pub notifier: Notifier,
}

/// Runs a daemon until SIGTERM or SIGINT. On SIGHUP it reads its configuration and its certificates again, on SIGUSR1 it
/// logs its metrics.
pub async fn run(
    info: DaemonInfo,
    activation: Activation,
    process: &impl Process,
) -> Result<(), RunError> {
    let config = info.config.clone();
    let Activation { sockets, notifier } = activation;
    if config.hosts.is_empty() {
        return Err(RunError::NoHost);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let tls = config.tls_files().map(Tls::load).transpose()?.map(Arc::new);
    let _pidfile = match &config.pidfile {
        Some(path) => {
            let written = PidFile::write(path);
            Some(written.map_err(|source| RunError::PidFile { path: path.clone(), source })?)
        }
        None => None,
    };
    // Before the sockets: whoever connects finds a daemon that works. And before the signals are waited for, so that
    // none that arrives from now on is lost.
    let on = |kind| signal(kind).map_err(RunError::Signals);
    let (mut terminate, mut interrupt) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let (mut hangup, mut report) = (on(SignalKind::hangup())?, on(SignalKind::user_defined1())?);
    let engine = open_engine(&config, &info.version, info.credentials.clone())
        .await
        .map_err(|error| RunError::Engine(Box::new(error)))?;
    let listeners = listen(&config, sockets, tls.as_ref()).await?;
    let daemon = Daemon::new(engine, info);
    let measured = match &config.metrics_addr {
        Some(address) => Some(serve_metrics(&daemon, address).await?),
        None => None,
    };
    let scheduled = tokio::spawn(schedule::run(daemon.clone()));
    process.listening(&listeners);
    notifier.ready();

    let stop = async {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                // dockerd writes down what its threads do; here it is what the daemon counts.
                _ = report.recv() => tracing::info!(state = metrics::document(&daemon).await, "SIGUSR1"),
                _ = hangup.recv() => {
                    notifier.reloading();
                    reload(&daemon, tls.as_deref(), process);
                    notifier.ready();
                }
            }
        }
        notifier.stopping();
    };
    daemon.serve(listeners, stop).await;
    // One that runs ends after the image that it is at.
    scheduled.abort();
    if let Some(measured) = measured {
        measured.abort();
    }
    Ok(())
}

/// Listens wherever the configuration says.
async fn listen(
    config: &DaemonConfig,
    mut sockets: Vec<InheritedSocket>,
    tls: Option<&Arc<Tls>>,
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::with_capacity(config.hosts.len());
    for host in &config.hosts {
        match host {
            ListenAddress::Fd(which) => {
                for listener in Listener::inherit(which, &mut sockets)? {
                    listeners.push(listener.with_tls(tls.cloned()));
                }
            }
            host => {
                let listener = Listener::bind(host, &config.group).await?;
                listeners.push(listener.with_tls(tls.cloned()));
            }
        }
    }
    let verified = config.tls_files().is_some_and(|tls| tls.mode == TlsMode::Verify);
    if verified {
        return Ok(listeners);
    }
    for listener in &listeners {
        if let Ok(host @ ListenAddress::Tcp(_)) = listener.local() {
            // dockerd's words.
            tracing::warn!(
                %host,
                "Binding to IP address without --tlsverify is insecure and gives root access on this machine to \
                 everyone who has access to your network."
            );
            tracing::warn!(
                %host,
                "Binding to an IP address, even on localhost, can also give access to scripts run in a browser. Be \
                 safe out there!"
            );
        }
    }
    Ok(listeners)
}

async fn serve_metrics(
    daemon: &Daemon,
    address: &str,
) -> Result<tokio::task::JoinHandle<()>, RunError> {
    let failed = |source| RunError::Metrics { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %local, "metrics API listens");
    Ok(tokio::spawn(metrics::serve(daemon.clone(), listener)))
}

/// Takes over the configuration and the certificates as they are now, each if nothing is wrong with it.
fn reload(daemon: &Daemon, tls: Option<&Tls>, process: &impl Process) {
    tracing::info!("Got signal to reload configuration");
    if let Some(tls) = tls
        && let Err(error) = tls.reload()
    {
        tracing::error!(%error, "the certificates stay as they were");
    }
    let config = match process.configuration() {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "Error reloading configuration"),
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match daemon.reload(&config) {
        Ok(()) => {
            process.configured(&daemon.config());
            let config = serde_json::json!(daemon.config().told()).to_string();
            tracing::info!(config, "Reloaded configuration");
        }
        Err(error) => tracing::error!(%error, "Error reconfiguring the daemon"),
    }
}
