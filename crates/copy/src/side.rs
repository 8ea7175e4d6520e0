//! One side of a copy: how its registries are reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::{Access, Client, CredentialSource, Credentials, RegistryConfig, Remote};
use spec::Repository;

use crate::CopyError;
use crate::error::Result;

/// The registries of one side of a copy. Both sides may be the same.
#[derive(Clone, Debug)]
pub struct Side {
    client: Client,
    credentials: Option<Credentials>,
    scratch: PathBuf,
    source: Option<Arc<dyn CredentialSource>>,
    trust: policy::Settings,
}

impl Side {
    /// Makes a side. `credentials` are for all its registries; without any, `config` knows where to look for them. What has to be
    /// put aside of archives goes to the folder `scratch`.
    pub fn new(
        config: RegistryConfig,
        credentials: Option<Credentials>,
        scratch: PathBuf,
    ) -> Result<Self> {
        let source = config.credentials.clone();
        let client = Client::new(config)
            .map_err(|source| CopyError::registry(&"the settings of registries", source))?;
        Ok(Self { client, credentials, scratch, source, trust: policy::Settings::default() })
    }

    /// Has images of this side judged before they are copied.
    #[must_use]
    pub fn trusting(self, trust: policy::Settings) -> Self {
        Self { trust, ..self }
    }

    pub(crate) fn trust(&self) -> &policy::Settings {
        &self.trust
    }

    /// Returns the credentials for a registry that verifiers are to have; none where they are to have none.
    pub(crate) async fn credentials_of(&self, domain: Option<&str>) -> Credentials {
        let wanted = self.trust.verifiers.as_ref().is_some_and(|verifiers| verifiers.credentials);
        let (true, Some(domain)) = (wanted, domain) else { return Credentials::Anonymous };
        if let Some(credentials) = &self.credentials {
            return credentials.clone();
        }
        let Some(source) = &self.source else { return Credentials::Anonymous };
        source.find(domain).await.map(|found| found.credentials).unwrap_or_default()
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
