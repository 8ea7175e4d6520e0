//! Our registry server, in this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry_server::{Durability, Options, RegistryServer};
use tempfile::TempDir;

use super::background::Background;
use crate::http::Client;

/// A running [`RegistryServer`].
#[derive(Debug)]
pub struct LocalRegistry {
    root: PathBuf,
    // Dropped in this order: the server stops before its folder goes.
    server: Background,
    _folder: Option<TempDir>,
}

impl LocalRegistry {
    /// Starts one over an empty folder of its own.
    pub fn start() -> io::Result<LocalRegistry> {
        let folder = tempfile::tempdir()?;
        let started = LocalRegistry::start_in(folder.path())?;
        Ok(LocalRegistry { _folder: Some(folder), ..started })
    }

    /// Starts one over the folder `root`, which stays. Nothing is synced.
    pub fn start_in(root: &Path) -> io::Result<LocalRegistry> {
        let options = Options::new(root).durability(Durability::Cached);
        LocalRegistry::start_with(options, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts one with these options at an address: that of one that was stopped, say.
    pub fn start_with(options: Options, address: SocketAddr) -> io::Result<LocalRegistry> {
        let root = options.root.clone();
        let registry = Arc::new(RegistryServer::open(options).map_err(io::Error::other)?);
        let server = Background::start(address, async |listener, stopped| {
            let stopped = async {
                let _ = stopped.await;
            };
            if let Err(error) = registry.serve(listener, stopped).await {
                panic!("the registry stopped: {error}");
            }
        })?;
        Ok(LocalRegistry { root, server, _folder: None })
    }

    /// Returns its `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns a client of it.
    pub fn client(&self) -> Client {
        Client::new(self.address().to_string())
    }

    /// Returns its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
