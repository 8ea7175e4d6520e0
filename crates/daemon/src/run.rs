//! A daemon's life: from its configuration to the signal that ends it.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use engine::EngineError;
use futures_util::FutureExt as _;
use futures_util::future::select_all;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::config::{ConfigError, DaemonConfig};
use crate::listen::{Host, ListenError, Listener};
use crate::pidfile::PidFile;
use crate::{Daemon, DaemonInfo, open_engine};

/// How long requests that run may go on after the daemon was told to stop. What is cut off is not lost: the next pull
/// goes on where it was.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a daemon does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The data root cannot be opened.
    #[error("failed to start daemon: {}", .0.message())]
    Engine(#[source] Box<EngineError>),
    /// An address cannot be listened on.
    #[error("failed to start daemon: {0}")]
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
        /// What is wrong.
        source: io::Error,
    },
    /// The system does not let the process hear signals.
    #[error("failed to start daemon: signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
}

/// Runs a daemon until SIGTERM or SIGINT. On SIGHUP it takes over what `reload` returns: mirrors, insecure registries
/// and limits.
///
/// `ready` is called once, when connections are accepted, with the addresses.
pub async fn run<R, L>(info: DaemonInfo, ready: R, reload: L) -> Result<(), RunError>
where
    R: FnOnce(&[Listener]),
    L: Fn() -> Result<DaemonConfig, ConfigError> + Send,
{
    let config = info.config.clone();
    if config.hosts.is_empty() {
        return Err(RunError::NoHost);
    }
    let _pidfile = match &config.pidfile {
        Some(path) => {
            let written = PidFile::write(path);
            Some(written.map_err(|source| RunError::PidFile { path: path.clone(), source })?)
        }
        None => None,
    };
    // Before the sockets: whoever connects finds a daemon that works. And before the signals are waited for, so that
    // none that arrives from now on is lost.
    let hear = |kind| signal(kind).map_err(RunError::Signals);
    let (mut terminate, mut interrupt) =
        (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    let mut hangup = hear(SignalKind::hangup())?;
    let engine = open_engine(&config, &info.version)
        .await
        .map_err(|error| RunError::Engine(Box::new(error)))?;
    let mut listeners = Vec::with_capacity(config.hosts.len());
    for host in &config.hosts {
        listeners.push(Listener::bind(host, &config.group).await?);
    }
    for host in config.hosts.iter().filter(|host| matches!(host, Host::Tcp(_))) {
        tracing::warn!(%host, "the API is accessible over TCP without encryption");
    }
    ready(&listeners);

    let daemon = Daemon::new(engine, info);
    let stop = async {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => reload_config(&daemon, &reload),
            }
        }
    };
    daemon.serve(listeners, stop).await;
    Ok(())
}

fn reload_config(daemon: &Daemon, reload: &impl Fn() -> Result<DaemonConfig, ConfigError>) {
    match reload() {
        Ok(config) => match daemon.reload(&config) {
            Ok(()) => tracing::info!("the configuration has been reloaded"),
            Err(error) => tracing::error!(%error, "the configuration stays as it was"),
        },
        Err(error) => tracing::error!(%error, "the configuration stays as it was"),
    }
}

impl Daemon {
    /// Answers connections on all listeners until `shutdown` completes: then stops to accept, lets requests that run
    /// end for a few seconds, cancels those that do not, and removes the sockets.
    pub async fn serve(&self, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // A connection that is not there yet is lost to nobody when another event comes first.
            let accept = async {
                if listeners.is_empty() {
                    return std::future::pending().await;
                }
                select_all(listeners.iter().map(|listener| listener.accept().boxed())).await.0
            };
            tokio::select! {
                () = &mut shutdown => break,
                accepted = accept => match accepted {
                    Ok(io) => {
                        let daemon = self.clone();
                        connections.spawn(async move { daemon.serve_connection(io).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection ended abnormally");
                    }
                }
            }
        }
        tracing::info!("the daemon stops");
        // New clients are refused from here on; the names go, so that a successor can take them.
        drop(listeners);
        self.close();
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::info!(
                connections = connections.len(),
                "requests that still run are cancelled"
            );
            connections.shutdown().await;
        }
    }
}
