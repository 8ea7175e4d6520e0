//! Who asks.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What a user has to show to one registry.
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
        /// The password.
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
