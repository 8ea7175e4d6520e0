//! One side of a copy: how its registries are reached.

use std::path::{Path, PathBuf};

use registry::{Access, Client, Credentials, RegistryConfig, Remote};
use spec::Repository;

use crate::CopyError;
use crate::error::Result;

/// The registries of one side of a copy. Both sides may be the same.
#[derive(Clone, Debug)]
pub struct Side {
    client: Client,
    credentials: Option<Credentials>,
    scratch: PathBuf,
}

impl Side {
    /// Makes a side. `credentials` are for all its registries; without any, `config` knows where to look for them. What has to be
    /// put aside of archives goes to the folder `scratch`.
    pub fn new(
        config: RegistryConfig,
        credentials: Option<Credentials>,
        scratch: PathBuf,
    ) -> Result<Self> {
        let client = Client::new(config)
            .map_err(|source| CopyError::registry(&"the settings of registries", source))?;
        Ok(Self { client, credentials, scratch })
    }

    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    pub(crate) async fn remote(&self, repository: &Repository, access: Access) -> Result<Remote> {
        let remote = match &self.credentials {
            Some(credentials) => self.client.remote(repository, credentials, access).await,
            None => self.client.remote_without_caller(repository, access).await,
        };
        remote.map_err(|source| CopyError::registry(repository, source))
    }

    /// Says whether a registry takes layers that are not to be redistributed.
    pub(crate) async fn allows_nondistributable(&self, domain: &str) -> bool {
        self.client.allows_nondistributable(domain).await
    }
}
