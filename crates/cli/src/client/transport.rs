//! Connections: to a socket, to an address, or to the engine in this process.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use http::{HeaderName, HeaderValue};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::{JoinHandle, JoinSet};

use super::tunnel::Tunnel;
use super::{Endpoint, Host, RequestBody};
use crate::credentials::Keyring;
use crate::error::CliError;
use crate::{build_info, settings};

/// The bytes that an in-memory pipe holds: two pieces of an archive, so that the one side makes the next while the other takes one. What
/// is not used takes no memory.
const PIPE_SIZE: usize = 512 * 1024;
/// The `Host` header where there is no host, as Docker's own clients send it.
const LOCAL_HOST_HEADER: &str = "api.moby.localhost";
/// The same where the host is that of ssh.
const SSH_HOST_HEADER: &str = "docker.example.com";

/// A way to the daemon.
#[derive(Debug)]
pub(super) enum Connector {
    /// A daemon at a socket or an address.
    Remote(Box<Endpoint>),
    /// The engine in this process.
    Local(Box<Local>),
}

/// The engine in this process: opened by the first connection, so that a command that fails before it needs the
/// engine touches no data root.
pub(crate) struct Local {
    config: daemon::DaemonConfig,
    keyring: Arc<Keyring>,
    needs_store: bool,
    daemon: OnceCell<daemon::Daemon>,
    connections: Mutex<JoinSet<()>>,
    /// In place of a data root, for what needs none. Goes after everything that may have files in it.
    scratch: OnceLock<TempDir>,
}

/// Folders that are kept in memory, or that somebody empties: where an engine is that keeps nothing.
const SCRATCH: [&str; 4] = ["/dev/shm", "/run", "/tmp", "/var/tmp"];
/// The storage driver that works anywhere.
const SCRATCH_DRIVER: &str = "packed";

impl std::fmt::Debug for Local {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Local").finish_non_exhaustive()
    }
}

impl Local {
    /// Prepares an engine; nothing is opened yet.
    pub(crate) fn new(config: daemon::DaemonConfig, keyring: Arc<Keyring>) -> Local {
        Local {
            config,
            keyring,
            needs_store: true,
            daemon: OnceCell::new(),
            connections: Mutex::new(JoinSet::new()),
            scratch: OnceLock::new(),
        }
    }

    /// Prepares an engine for what is about registries alone: the data root may be anybody's, in use, full, read-only or
    /// missing.
    pub(crate) fn without_store(config: daemon::DaemonConfig, keyring: Arc<Keyring>) -> Local {
        Local { needs_store: false, ..Local::new(config, keyring) }
    }

    /// Returns the configuration with a place for an engine that keeps nothing.
    fn config(&self) -> Result<daemon::DaemonConfig, CliError> {
        let mut config = self.config.clone();
        if self.needs_store {
            settings::require_data_root(&config)?;
            return Ok(config);
        }
        let scratch = scratch()?;
        scratch.path().clone_into(&mut config.data_root);
        config.storage_driver = SCRATCH_DRIVER.parse().ok();
        // The engine is opened once, and so this is the first.
        let _ = self.scratch.set(scratch);
        Ok(config)
    }

    async fn open(&self) -> Result<daemon::Daemon, CliError> {
        let version = env!("CARGO_PKG_VERSION");
        let config = self.config()?;
        let credentials: Option<Arc<dyn daemon::CredentialSource>> = Some(self.keyring.clone());
        let engine = daemon::open_engine(&config, version, credentials.clone()).await;
        let engine = engine.map_err(|error| CliError::DataRoot(error.message()))?;
        let info = daemon::DaemonInfo {
            version: version.to_owned(),
            git_commit: build_info::COMMIT.to_owned(),
            build_time: build_info::BUILD_TIME.to_owned(),
            config,
            credentials,
        };
        Ok(daemon::Daemon::new(engine, info))
    }

    async fn daemon(&self) -> Result<&daemon::Daemon, CliError> {
        self.daemon.get_or_try_init(|| self.open()).await
    }

    async fn dial(&self) -> Result<DuplexStream, CliError> {
        let daemon = self.daemon().await?.clone();
        let (near, far) = tokio::io::duplex(PIPE_SIZE);
        self.connections.lock().await.spawn(async move { daemon.serve_connection(far).await });
        Ok(near)
    }
}

/// Makes a folder that goes with what is returned, in the first place where that is possible.
fn scratch() -> Result<TempDir, CliError> {
    let folder = |place: &Path| tempfile::Builder::new().prefix("longshore-").tempdir_in(place);
    let made = SCRATCH.iter().find_map(|place| folder(Path::new(place)).ok());
    made.map_or_else(|| folder(&std::env::temp_dir()), Ok).map_err(CliError::Start)
}

/// A way to a daemon and back.
pub(crate) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

impl Connector {
    /// Says whether there is something to ask; a daemon is always, an engine without a store would make one first.
    pub(super) fn has_store(&self) -> bool {
        match self {
            Connector::Local(local) => local.config.data_root.join("image").is_dir(),
            Connector::Remote(_) => true,
        }
    }

    /// Says whether there may be a store, or could be one. What cannot be looked at may be one.
    pub(super) fn could_have_store(&self) -> bool {
        let Connector::Local(local) = self else { return true };
        let root = &local.config.data_root;
        let is_missing =
            |error: io::Error| error.kind() == io::ErrorKind::NotFound && root.is_absolute();
        !root.symlink_metadata().is_err_and(is_missing) || settings::writable(root).is_ok()
    }

    /// Hands a file to the engine in this process, in place of a body; `None` if it is in another.
    pub(super) async fn hand_over(&self, file: &File) -> Result<Option<String>, CliError> {
        let Connector::Local(local) = self else { return Ok(None) };
        let daemon = local.daemon().await?;
        // Where the process may open no more, the file is sent.
        Ok(file.try_clone().ok().map(|file| daemon.hand_over(file)))
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Connection, CliError> {
        Connection::open(self.dial().await?).await
    }

    /// Opens a connection, on which nothing has been said yet.
    pub(super) async fn dial(&self) -> Result<Box<dyn Pipe>, CliError> {
        let endpoint = match self {
            Connector::Local(local) => return Ok(Box::new(local.dial().await?)),
            Connector::Remote(endpoint) => endpoint,
        };
        let failed = |error: io::Error| connect_error(&endpoint.host, &error);
        match &endpoint.host {
            Host::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
            Host::Ssh(host) => Ok(Box::new(Tunnel::open(host)?)),
            Host::Tcp { authority, .. } => {
                let stream = TcpStream::connect(authority).await.map_err(failed)?;
                // Requests are small and wait for their answer: nothing is gained by collecting them.
                let _ = stream.set_nodelay(true);
                match &endpoint.tls {
                    Some(tls) => Ok(Box::new(tls.secure(stream, authority).await?)),
                    None => Ok(Box::new(stream)),
                }
            }
        }
    }

    /// Returns the headers that every request has because the user says so.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        match self {
            Connector::Remote(endpoint) => &endpoint.headers,
            Connector::Local(_) => &[],
        }
    }

    fn host(&self) -> Option<&Host> {
        match self {
            Connector::Remote(endpoint) => Some(&endpoint.host),
            Connector::Local(_) => None,
        }
    }

    /// Returns the value of the `Host` header.
    pub(super) fn host_header(&self) -> &str {
        match self.host() {
            Some(Host::Tcp { authority, .. }) => authority,
            Some(Host::Ssh(_)) => SSH_HOST_HEADER,
            Some(Host::Unix(_)) | None => LOCAL_HOST_HEADER,
        }
    }

    /// Returns what goes before every path.
    pub(super) fn base_path(&self) -> &str {
        match self.host() {
            Some(Host::Tcp { base_path, .. }) => base_path,
            _ => "",
        }
    }

    /// Waits until the engine in this process has ended its connections: the client's ends must be closed.
    pub(super) async fn close(&self) {
        if let Connector::Local(local) = self {
            let mut connections = local.connections.lock().await;
            while connections.join_next().await.is_some() {}
            // The process is about to end: to take what was read of thousands of images to pieces would be for nothing.
            std::mem::forget(local.daemon.get().cloned());
        }
    }
}

fn connect_error(host: &Host, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => CliError::ConnectPermission(host.clone()),
        _ => CliError::Connect(host.clone()),
    }
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// Ends with the connection, and says why.
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    async fn open(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Connection, CliError> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
            .await
            .map_err(CliError::Transport)?;
        // The connection lives as long as someone sends or reads; its errors are told to them.
        let task = tokio::spawn(connection);
        Ok(Connection { sender, task })
    }

    /// Waits for the answer before to be read, and returns whether another request can be sent.
    pub(super) async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and returns the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: http::Request<RequestBody>,
    ) -> Result<hyper::Response<Incoming>, CliError> {
        let error = match self.sender.send_request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        // A connection that was over before the request knows why: over TLS, that the daemon wants a certificate.
        if error.is_canceled()
            && let Ok(Err(cause)) = (&mut self.task).await
        {
            return Err(CliError::Transport(cause));
        }
        Err(CliError::Transport(error))
    }
}
