//! Accepting connections, as many as there may be at once.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use rustix::process::{Resource, getrlimit};
use tokio::task::{JoinError, JoinSet};

use super::listener::{Accepted, Listener};
use super::slots::{ConnectionSlots, SlotGuard};
use super::write_timeout::{WRITE_TIMEOUT, WriteTimeout};
use crate::daemon::Daemon;

/// The pause after a connection that could not be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most connections at once. An idle one costs some kilobytes.
const MAX_CONNECTIONS: usize = 8192;
/// The fewest, whatever the system's limit is.
const MIN_CONNECTIONS: usize = 16;

impl Daemon {
    /// Answers connections on all listeners until `shutdown` completes: then stops to accept, lets requests that run
    /// end for as long as the configuration says, cancels those that do not, and removes the sockets.
    ///
    /// When there are as many connections as there may be, a new one takes the place of the one that has been idle
    /// longest.
    pub async fn serve(&self, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
        self.serve_at_most(most_connections(), listeners, shutdown).await;
    }

    pub(crate) async fn serve_at_most(
        &self,
        most: usize,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut connections = JoinSet::new();
        let slots = Arc::new(ConnectionSlots::default());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let full = connections.len() >= most;
            if full {
                slots.evict_for_newcomer();
            }
            // A connection that is not there yet is lost to nobody when another event comes first.
            let accept = async {
                if listeners.is_empty() {
                    return std::future::pending().await;
                }
                select_all(listeners.iter().map(|listener| listener.accept().boxed())).await.0
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => {
                    slots.ended();
                    report(ended);
                }
                () = slots.changed(), if full => {}
                accepted = accept, if !full => match accepted {
                    Ok(accepted) => {
                        let (daemon, slots) = (self.clone(), Arc::clone(&slots));
                        connections.spawn(async move { daemon.receive(accepted, &slots).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        if out_of_files(&error) {
                            slots.evict();
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        tracing::info!("the daemon stops");
        // New clients are refused from here on; the names go, so that a successor can take them.
        drop(listeners);
        self.close();
        self.drain(connections).await;
    }

    async fn receive(&self, accepted: Accepted, slots: &Arc<ConnectionSlots>) {
        let slot = slots.slot();
        let _guard = SlotGuard(slot.clone());
        let transport = accepted.transport();
        let opened = tokio::select! {
            opened = accepted.open() => opened,
            () = slot.evicted() => return,
            () = self.closed() => return,
        };
        match opened {
            Ok(io) => {
                self.serve_slot(WriteTimeout::new(io, WRITE_TIMEOUT), slot, transport).await;
            }
            // A client without a good certificate, or a scan of ports.
            Err(error) => tracing::debug!(%error, "a connection cannot be opened"),
        }
    }

    /// Lets requests that run end, for as long as the configuration says.
    async fn drain(&self, mut connections: JoinSet<()>) {
        let patience = self.config().shutdown_timeout;
        let ended = async { while connections.join_next().await.is_some() {} };
        let in_time = if let Some(patience) = patience {
            tokio::time::timeout(patience, ended).await.is_ok()
        } else {
            ended.await;
            true
        };
        if !in_time {
            tracing::info!(
                connections = connections.len(),
                "requests that still run are cancelled"
            );
            connections.shutdown().await;
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended abnormally");
    }
}

/// As many as leave half of the files that the process may open to the engine.
fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 2).unwrap_or(usize::MAX).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

fn out_of_files(error: &io::Error) -> bool {
    let out = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    error
        .raw_os_error()
        .is_some_and(|number| out.iter().any(|errno| errno.raw_os_error() == number))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::{DaemonConfig, Defaults, Group, ListenAddress, Proxies};
    use crate::daemon::{DaemonInfo, open_engine};

    const EVENTS: &[u8] = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
    const PING: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";

    async fn daemon(folder: &Path) -> Daemon {
        let config = DaemonConfig {
            storage_driver: Some("packed".parse().unwrap()),
            ..DaemonConfig::new(Defaults {
                data_root: folder.join("data"),
                hosts: Vec::new(),
                certs_dirs: Vec::new(),
                tls_dir: PathBuf::new(),
                tls_verify: false,
                allow_schema1: false,
                proxies: Proxies::default(),
            })
        };
        let engine = open_engine(&config, "1", None).await.unwrap();
        let (version, git_commit, build_time) = ("1".into(), String::new(), String::new());
        Daemon::new(
            engine,
            DaemonInfo { version, git_commit, build_time, config, credentials: None },
        )
    }

    async fn answered(client: &mut UnixStream, request: &[u8]) -> bool {
        let _ = client.write_all(request).await;
        let mut status = [0; 15];
        client.read_exact(&mut status).await.is_ok() && status == *b"HTTP/1.1 200 OK"
    }

    #[tokio::test]
    async fn a_full_daemon_gives_up_who_is_idle_and_never_who_is_busy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let group = Group { name: "nosuchgroup".into(), required: false };
        let listener = Listener::bind(&ListenAddress::Unix(path.clone()), &group).await.unwrap();
        let daemon = daemon(folder.path()).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            daemon.serve_at_most(3, vec![listener], async { drop(stopped.await) }).await;
        });
        let connect = || UnixStream::connect(&path);
        let (mut busy, mut first) = (connect().await.unwrap(), connect().await.unwrap());
        assert!(answered(&mut busy, EVENTS).await && answered(&mut first, PING).await);
        // Half a request is none.
        let mut second = connect().await.unwrap();
        second.write_all(b"GET /_ping").await.unwrap();
        for _ in 0..4 {
            let mut newcomer = connect().await.unwrap();
            assert!(answered(&mut newcomer, PING).await);
        }
        for mut idle in [first, second] {
            let mut rest = Vec::new();
            let _ = idle.read_to_end(&mut rest).await;
            assert!(idle.write_all(PING).await.is_err(), "{rest:?}");
        }
        stop.send(()).unwrap();
        serving.await.unwrap();
        // The stream of events ended with the daemon and not before.
        let mut rest = String::new();
        busy.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    }
}
