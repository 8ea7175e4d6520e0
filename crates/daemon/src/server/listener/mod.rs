//! Listeners: unix sockets, TCP ports, and sockets that the service manager opened.

mod error;
mod inherited;
mod socket;
mod unix;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub use error::ListenError;
pub use inherited::InheritedSocket;
use socket::ListenSocket;

use crate::config::{Group, ListenAddress};
use crate::request::admission::Transport;
use crate::server::tls::Tls;

/// The time for a client to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// An address that is listened on. Dropping it removes its socket, unless that is the service manager's.
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    /// For TCP.
    tls: Option<Arc<Tls>>,
}

/// A connection of either kind.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A connection as the system hands it over.
#[derive(Debug)]
pub(crate) enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream, Option<Arc<Tls>>),
}

impl Listener {
    /// Starts to listen. A socket that a dead daemon left is replaced; one that answers is not.
    ///
    /// Sockets of the service manager are not made here: see [`Listener::inherit`].
    pub async fn bind(host: &ListenAddress, group: &Group) -> Result<Self, ListenError> {
        let socket = match host {
            ListenAddress::Unix(path) => {
                let (listener, file) = unix::bind(path, group).await?;
                ListenSocket::Unix(listener, Some(file))
            }
            ListenAddress::Tcp(address) => {
                let failed = |source| ListenError::Tcp { address: address.clone(), source };
                ListenSocket::Tcp(TcpListener::bind(address).await.map_err(failed)?)
            }
            ListenAddress::Fd(_) => return Err(ListenError::NoSockets),
        };
        Ok(Self { socket, tls: None })
    }

    /// Listens on those of `sockets` that `which` means: all if it is empty or `*`, else the one of this number or name.
    /// Those are taken out.
    pub fn inherit(
        which: &str,
        sockets: &mut Vec<InheritedSocket>,
    ) -> Result<Vec<Self>, ListenError> {
        let taken = inherited::take(which, sockets)?;
        Ok(taken.into_iter().map(|socket| Self { socket, tls: None }).collect())
    }

    /// Encrypts what arrives over TCP.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Returns the address that is listened on: for TCP with the port that the system chose, if it was to choose.
    pub fn local(&self) -> io::Result<ListenAddress> {
        self.socket.local()
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match &self.socket {
            ListenSocket::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0),
            ListenSocket::Tcp(listener) => {
                Accepted::Tcp(listener.accept().await?.0, self.tls.clone())
            }
        })
    }
}

impl Accepted {
    /// The way by which the client is connected.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Unix(_) => Transport::Local,
            Self::Tcp(_, None) => Transport::PlainTcp,
            Self::Tcp(_, Some(_)) => Transport::Tls,
        }
    }

    /// Gets the connection ready for HTTP: over TLS, the client and the daemon agree on keys here.
    pub(crate) async fn open(self) -> io::Result<Box<dyn Connection>> {
        let (stream, tls) = match self {
            Self::Unix(stream) => return Ok(Box::new(stream)),
            Self::Tcp(stream, tls) => (stream, tls),
        };
        // Progress lines are small and must not wait for each other.
        stream.set_nodelay(true)?;
        // A client whose network went away is noticed by this alone while nothing is written to it.
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await {
            Ok(stream) => Ok(Box::new(stream?)),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener as StdUnixListener;
    use std::path::Path;

    use super::unix::SOCKET_MODE;
    use super::*;

    fn nobody_in_particular() -> Group {
        Group { name: "nosuchgroup".into(), required: false }
    }

    async fn bind(path: &Path) -> Result<Listener, ListenError> {
        Listener::bind(&ListenAddress::Unix(path.to_owned()), &nobody_in_particular()).await
    }

    #[tokio::test]
    async fn a_socket_is_private_to_owner_and_group_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.sock");
        let listener = bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(listener.local().unwrap(), ListenAddress::Unix(path.clone()));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_living_daemons_socket_stays_and_a_dead_ones_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.sock");
        let living = bind(&path).await.unwrap();
        let error = bind(&path).await.unwrap_err();
        assert!(matches!(&error, ListenError::InUse(named) if *named == path), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()));
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(living);

        // A killed daemon closes its end and leaves the name.
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let replaced = bind(&path).await.unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());

        // A successor's socket is not removed by the predecessor.
        fs::remove_file(&path).unwrap();
        let successor = bind(&path).await.unwrap();
        drop(replaced);
        assert!(path.exists());
        drop(successor);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(bind(&path).await, Err(ListenError::NotASocket(_))));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(bind(&link).await, Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        let missing = directory.path().join("no/such/l.sock");
        let error = bind(&missing).await.unwrap_err().to_string();
        assert!(error.contains("no/such/l.sock") && error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_group_that_was_asked_for_must_exist() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.sock");
        let group = Group { required: true, ..nobody_in_particular() };
        let error = Listener::bind(&ListenAddress::Unix(path.clone()), &group).await.unwrap_err();
        assert!(error.to_string().ends_with("group nosuchgroup not found"), "{error}");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn tcp_tells_the_port_that_the_system_chose() {
        let host = ListenAddress::Tcp("127.0.0.1:0".into());
        let listener = Listener::bind(&host, &nobody_in_particular()).await.unwrap();
        let local = listener.local().unwrap();
        assert_ne!(local, host);
        let error = Listener::bind(&local, &nobody_in_particular()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("can't listen on {local}: ")), "{error}");
    }
}
