//! `login`: does a registry take these credentials?

use registry::{Caller, Credentials};

use crate::{Engine, EngineError, Result};

/// A registry's answer to valid credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginOutcome {
    /// The sentence for the user.
    pub status: String,
    /// A token to be kept in place of the password, if the registry gives one.
    pub identity_token: Option<String>,
}

impl Engine {
    /// Presents `credentials` to the registry at `server_address` (a host, or Docker Hub's `https://index.docker.io/v1/`).
    pub async fn login(
        &self,
        credentials: &Credentials,
        server_address: &str,
        caller: Caller,
    ) -> Result<LoginOutcome> {
        let login = self
            .network()
            .client
            .on_behalf_of(caller)
            .login(server_address, credentials)
            .await
            .map_err(EngineError::Login)?;
        Ok(LoginOutcome { status: login.status.to_owned(), identity_token: login.identity_token })
    }
}
