//! `registry check`: who would be asked for something?

use registry::{Checked, Credentials, RegistryCheck, RegistryError};

use crate::Engine;

impl Engine {
    /// Asks everybody who would be asked for `what`, without downloading anything. `credentials` are for the registry
    /// itself.
    pub async fn check_registry(
        &self,
        what: &Checked,
        credentials: &Credentials,
    ) -> Result<RegistryCheck, RegistryError> {
        self.network().client.check(what, credentials).await
    }
}
