//! Errors of listening on an address.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Error of listening on an address.
#[derive(Debug, Error)]
pub enum ListenError {
    /// A daemon answers on the socket.
    #[error("can't create unix socket {}: another daemon is listening there", .0.display())]
    InUse(PathBuf),
    /// Something that is no socket has the socket's name.
    #[error("can't create unix socket {}: a file that is not a socket is in the way", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("can't create unix socket {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The group that was asked for does not exist.
    #[error("can't create unix socket {}: group {group} not found", path.display())]
    Group {
        /// The socket.
        path: PathBuf,
        /// Name that the user gave.
        group: String,
    },
    /// The port cannot be listened on.
    #[error("can't listen on tcp://{address}: {source}")]
    Tcp {
        /// Host and port.
        address: String,
        /// Error of the system.
        source: io::Error,
    },
    /// The service manager passed no socket.
    #[error("no sockets found via socket activation: make sure the service was started by systemd")]
    NoSockets,
    /// The service manager passed sockets, and not the one that is meant.
    #[error(
        "failed to find the systemd socket fd://{0}: it is neither a number nor a name of one that was passed"
    )]
    NoSuchSocket(String),
    /// A file that the service manager passed cannot be listened on.
    #[error("failed to listen on systemd activated file: fd {number}: {source}")]
    Inherited {
        /// The file's number.
        number: i32,
        /// Fault of the file.
        source: io::Error,
    },
}
