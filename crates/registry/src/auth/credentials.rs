//! Credentials, and the search for those that no caller gives.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

/// The credentials of a user for one registry.
///
/// Credentials belong to the registry that they were given for: [`crate::Client::remote`] shows
/// them to that registry and to the token server it names, and to nobody else.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// A user name and a password (or an access token used as one).
    Basic {
        /// The user's name.
        username: String,
        /// The password in the clear.
        password: String,
    },
    /// A refresh token that an earlier login gave, for registries with a token server.
    IdentityToken {
        /// The user's name, as the login had it.
        username: String,
        /// The refresh token.
        token: String,
    },
    /// A bearer token that is sent to the registry as it is.
    RegistryToken(String),
}

impl Credentials {
    /// Returns user name and password, if there are both.
    pub(crate) fn basic(&self) -> Option<(&str, &str)> {
        match self {
            Self::Basic { username, password } if !username.is_empty() && !password.is_empty() => {
                Some((username, password))
            }
            _ => None,
        }
    }
}

/// Credentials, and where they are from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundCredentials {
    /// A password, a token, or nothing.
    pub credentials: Credentials,
    /// Their place as the user knows it: a file, a program. Nothing where there are none.
    pub origin: Option<String>,
}

/// The reason for which a [`CredentialSource`] cannot tell. The text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsUnavailable(pub String);

/// Knows the credentials for hosts that no caller gives any for: mirrors, other hosts of a `hosts.toml`, and registries that
/// are asked without a caller.
///
/// An operation asks at most once for each host, and only if the host wants to see some.
pub trait CredentialSource: fmt::Debug + Send + Sync {
    /// Returns the credentials for `host` (`name[:port]`) and for no other. Must not block.
    fn find<'a>(
        &'a self,
        host: &'a str,
    ) -> BoxFuture<'a, Result<FoundCredentials, CredentialsUnavailable>>;
}

/// The credentials for one endpoint, looked for when it first wants to see some.
#[derive(Debug)]
pub(crate) enum CredentialLookup {
    /// Given by the caller, for the registry.
    Given {
        found: FoundCredentials,
        /// True if they were wanted.
        used: AtomicBool,
    },
    /// To be looked for under the endpoint's own host.
    Source {
        source: Option<Arc<dyn CredentialSource>>,
        host: String,
        found: OnceCell<FoundCredentials>,
    },
}

impl CredentialLookup {
    /// A lookup of what a caller gave.
    pub(crate) fn given(credentials: Credentials) -> Self {
        let origin = (credentials != Credentials::Anonymous).then(|| GIVEN.to_owned());
        let found = FoundCredentials { credentials, origin };
        Self::Given { found, used: AtomicBool::new(false) }
    }

    /// A lookup at another host than the caller gave credentials for.
    pub(crate) fn of_host(source: Option<Arc<dyn CredentialSource>>, host: String) -> Self {
        Self::Source { source, host, found: OnceCell::new() }
    }

    /// Returns the credentials. What cannot be had is not there: the endpoint will say that it wants some.
    pub(crate) async fn credentials(&self) -> &FoundCredentials {
        match self {
            Self::Given { found, used } => {
                used.store(true, Ordering::Relaxed);
                found
            }
            Self::Source { source, host, found } => {
                found.get_or_init(|| find(source.as_deref(), host)).await
            }
        }
    }

    /// Returns where the credentials that were shown are from; nothing if none were.
    pub(crate) fn origin(&self) -> Option<&str> {
        match self {
            Self::Given { found, used } => {
                found.origin.as_deref().filter(|_| used.load(Ordering::Relaxed))
            }
            Self::Source { found, .. } => found.get()?.origin.as_deref(),
        }
    }
}

/// The origin of credentials that a caller gave for the registry.
pub const GIVEN: &str = "the request";

async fn find(source: Option<&dyn CredentialSource>, host: &str) -> FoundCredentials {
    let Some(source) = source else { return FoundCredentials::default() };
    match source.find(host).await {
        Ok(found) => {
            let origin = found.origin.as_deref().unwrap_or("none");
            tracing::debug!(host, origin, "credentials looked for");
            found
        }
        Err(error) => {
            tracing::warn!(host, %error, "credentials cannot be read, going on without");
            FoundCredentials::default()
        }
    }
}

/// Returns the value of an `Authorization` header.
pub(crate) fn basic_header(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(f, "Basic({username:?}, ***)"),
            Self::IdentityToken { username, .. } => write!(f, "IdentityToken({username:?}, ***)"),
            Self::RegistryToken(_) => f.write_str("RegistryToken(***)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secret() {
        for credentials in [
            Credentials::Basic { username: "ann".into(), password: "s3cret".into() },
            Credentials::IdentityToken { username: "ann".into(), token: "s3cret".into() },
            Credentials::RegistryToken("s3cret".into()),
        ] {
            assert!(!format!("{credentials:?}").contains("s3cret"), "{credentials:?}");
        }
    }

    #[test]
    fn half_a_pair_is_no_pair() {
        for (username, password) in [("", ""), ("ann", ""), ("", "s3cret")] {
            let credentials =
                Credentials::Basic { username: username.into(), password: password.into() };
            assert_eq!(credentials.basic(), None, "{username:?} {password:?}");
        }
        assert_eq!(basic_header("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
