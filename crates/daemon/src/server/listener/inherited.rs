//! Sockets that the service manager opened and passed to this process.
//!
//! By hand rather than by the crate `listenfd`: that knows no names of sockets (`fd://NAME`), and reads the environment.

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener as StdUnixListener;

use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::net::{TcpListener, UnixListener};

use super::error::ListenError;
use super::socket::ListenSocket;

/// A socket of the service manager's that listens already.
#[derive(Debug)]
pub struct InheritedSocket {
    /// Open file of it.
    pub socket: OwnedFd,
    /// Name that the service manager gave it, or empty.
    pub name: String,
}

/// Takes those of `sockets` that `which` means: all if it is empty or `*`, else the one of this number or name.
pub(super) fn take(
    which: &str,
    sockets: &mut Vec<InheritedSocket>,
) -> Result<Vec<ListenSocket>, ListenError> {
    if sockets.is_empty() {
        return Err(ListenError::NoSockets);
    }
    let all = matches!(which, "" | "*");
    let number = which.parse().ok();
    let meant = |socket: &InheritedSocket| {
        all || number == Some(socket.socket.as_raw_fd()) || socket.name == which
    };
    let taken: Vec<_> = sockets.extract_if(.., |socket| meant(socket)).collect();
    if taken.is_empty() {
        return Err(ListenError::NoSuchSocket(which.to_owned()));
    }
    let listen = |InheritedSocket { socket, .. }| {
        let number = socket.as_raw_fd();
        listening(socket).map_err(|source| ListenError::Inherited { number, source })
    };
    taken.into_iter().map(listen).collect()
}

/// Makes a listener of a socket, which must be one that listens.
fn listening(socket: OwnedFd) -> io::Result<ListenSocket> {
    let unfit = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    if sockopt::socket_type(&socket)? != SocketType::STREAM {
        return Err(unfit("not a stream socket"));
    }
    if !sockopt::socket_acceptconn(&socket)? {
        return Err(unfit("nothing listens on this socket"));
    }
    // Other processes of the same service may share the socket: an accept must never wait in the kernel.
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    match sockopt::socket_domain(&socket)? {
        AddressFamily::UNIX => {
            Ok(ListenSocket::Unix(UnixListener::from_std(StdUnixListener::from(socket))?, None))
        }
        AddressFamily::INET | AddressFamily::INET6 => {
            Ok(ListenSocket::Tcp(TcpListener::from_std(StdTcpListener::from(socket))?))
        }
        _ => Err(unfit("neither a unix socket nor TCP")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::config::ListenAddress;

    fn inherited(socket: impl Into<OwnedFd>, name: &str) -> InheritedSocket {
        InheritedSocket { socket: socket.into(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn sockets_are_found_by_number_and_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let unix = StdUnixListener::bind(&path).unwrap();
        let tcp = StdTcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let mut sockets = vec![inherited(unix, "api.socket"), inherited(tcp, "")];
        for nothing in ["0", "api", "x"] {
            let error = take(nothing, &mut sockets).unwrap_err();
            assert!(matches!(error, ListenError::NoSuchSocket(_)), "{error}");
        }
        let named = take("api.socket", &mut sockets).unwrap();
        assert_eq!(named[0].local().unwrap(), ListenAddress::Unix(path.clone()));
        let number = sockets[0].socket.as_raw_fd().to_string();
        let numbered = take(&number, &mut sockets).unwrap();
        assert_eq!(numbered[0].local().unwrap(), ListenAddress::Tcp(address.to_string()));
        let error = take("", &mut sockets).unwrap_err().to_string();
        assert!(error.starts_with("no sockets found via socket activation"), "{error}");
        // The name is the service manager's, who listens on.
        drop(named);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn what_nobody_can_connect_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(directory.path().join("f")).unwrap();
        let (connected, _other) = UnixStream::pair().unwrap();
        for socket in [inherited(file, ""), inherited(connected, "")] {
            let error = take("*", &mut vec![socket]).unwrap_err().to_string();
            assert!(
                error.starts_with("failed to listen on systemd activated file: fd "),
                "{error}"
            );
        }
    }
}
