//! `docker login`: are these credentials good?

use std::sync::Arc;

use http::StatusCode;
use reqwest::Url;

use crate::{
    Client, Credentials, Recovery, RegistryError, auth::credentials::CredentialLookup,
    auth::session::Session, error::refusal::status_line,
};

/// Docker Hub's name towards logins.
const HUB: &str = "index.docker.io";

/// A login that succeeded.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// dockerd's sentence, `Login Succeeded`.
    pub status: &'static str,
    /// A refresh token to be kept in place of the password, from registries with a token server that gives one.
    pub identity_token: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.identity_token.as_ref().map(|_| "***");
        f.debug_struct("Login")
            .field("status", &self.status)
            .field("identity_token", &token)
            .finish()
    }
}

impl Client {
    /// Shows credentials to the registry at `server_address`: a host, or a URL of which only the host counts;
    /// empty for Docker Hub. Mirrors are not asked.
    pub async fn login(
        &self,
        server_address: &str,
        credentials: &Credentials,
    ) -> Result<Login, RegistryError> {
        let registry = registry(server_address)?;
        let mut last = RegistryError::NoEndpoint { host: registry.clone() };
        for candidate in self.own_candidates(&registry).await? {
            let endpoint = Arc::clone(&candidate.endpoint);
            let (tokens, lookup) = (self.tokens(), CredentialLookup::given(credentials.clone()));
            let tried = async {
                let session = Session::open(endpoint, lookup, None, tokens).await?;
                session.log_in().await
            };
            match tried.await {
                Ok((answer, identity_token)) if answer.status() == StatusCode::OK => {
                    self.learn(&candidate, &registry);
                    return Ok(Login { status: "Login Succeeded", identity_token });
                }
                Ok((answer, _)) => {
                    last = RegistryError::Login {
                        status: status_line(answer.status()),
                        url: answer.url,
                    };
                    if candidate.endpoint.scheme() == "https" {
                        // It speaks TLS: the password is not shown without.
                        return Err(last);
                    }
                }
                Err(error) if error.recovery() == Recovery::NextEndpoint => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

/// Returns the host of a server's address.
fn registry(address: &str) -> Result<String, RegistryError> {
    let address = address.trim();
    if address.is_empty() {
        return Ok(HUB.to_owned());
    }
    let (_, rest) = address.split_once("://").unwrap_or(("", address));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let bad = |reason: &str| RegistryError::ServerAddress {
        address: host.rsplit('@').next().unwrap_or_default().to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(&format!("https://{host}/")).map_err(|error| bad(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("user names are not part of it"));
    }
    Ok(host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_an_address_counts() {
        for (address, expected) in [
            ("", "index.docker.io"),
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://Registry.corp:5000/v2/?x#y", "Registry.corp:5000"),
            ("[::1]:5000", "[::1]:5000"),
            (
                "ann:s3cret@host",
                "unable to parse server address: `host`: user names are not part of it",
            ),
            ("https://", "unable to parse server address: ``: empty host"),
            ("a b", "unable to parse server address: `a b`: invalid international domain name"),
        ] {
            let shown = registry(address).unwrap_or_else(|error| error.to_string());
            assert_eq!(shown, expected, "{address}");
        }
    }
}
