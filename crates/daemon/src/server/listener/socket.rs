//! Sockets that listen.

use std::io;
use std::path::PathBuf;

use tokio::net::{TcpListener, UnixListener};

use super::unix::SocketFile;
use crate::config::ListenAddress;

/// A socket that listens, with the name of a unix socket that goes with it.
#[derive(Debug)]
pub(super) enum ListenSocket {
    Unix(UnixListener, Option<SocketFile>),
    Tcp(TcpListener),
}

impl ListenSocket {
    /// Returns the address that is listened on.
    pub(super) fn local(&self) -> io::Result<ListenAddress> {
        Ok(match self {
            Self::Unix(_, Some(file)) => ListenAddress::Unix(file.path.clone()),
            Self::Unix(listener, None) => {
                let address = listener.local_addr()?;
                ListenAddress::Unix(address.as_pathname().map_or_else(PathBuf::new, PathBuf::from))
            }
            Self::Tcp(listener) => ListenAddress::Tcp(listener.local_addr()?.to_string()),
        })
    }
}
