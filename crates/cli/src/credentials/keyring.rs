//! The credentials of whoever runs the engine, for hosts that no client gives any for: mirrors of registries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::{CredentialSource, CredentialsUnavailable, FoundCredentials};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::server::{DOCKER_HUB_KEY, key_of_domain};
use super::store::Store;
use crate::error::CliError;

/// The time that a helper may take. One that asks a user would wait for ever where there is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks into `config.json` of one directory and asks the helpers that it names. The file is read each time, so that a
/// login is seen by a daemon that runs.
#[derive(Debug)]
pub(crate) struct Keyring {
    directory: PathBuf,
    /// Reads the credentials of that directory.
    open: fn(&Path) -> Result<Store, CliError>,
}

impl Keyring {
    /// Makes a keyring over a configuration directory; nothing is read yet.
    pub(crate) fn new(directory: PathBuf) -> Keyring {
        Keyring { directory, open: Store::open }
    }

    /// Makes one that asks no helpers.
    pub(crate) fn without_helpers(directory: PathBuf) -> Keyring {
        Keyring { directory, open: Store::without_helpers }
    }

    /// Makes one for who tells elsewhere that `DOCKER_AUTH_CONFIG` cannot be read.
    pub(crate) fn quiet(directory: PathBuf) -> Keyring {
        Keyring { directory, open: Store::open_quietly }
    }

    async fn look_up(&self, host: &str) -> Result<FoundCredentials, CredentialsUnavailable> {
        let unavailable = |text: String| CredentialsUnavailable(text);
        let (directory, open) = (self.directory.clone(), self.open);
        let opened = tokio::task::spawn_blocking(move || open(&directory)).await;
        let store = opened.map_err(|error| unavailable(error.to_string()))?;
        let store = store.map_err(|error| unavailable(error.to_string()))?;
        let key = key(host);
        let origin = store.origin(key);
        // Errors of helpers are told without what they printed: it may be anything.
        let failed = |what: &str| unavailable(format!("{origin}: {what}"));
        let auth = tokio::time::timeout(PATIENCE, store.get(key))
            .await
            .map_err(|_| failed("no answer in time"))?
            .map_err(|_| failed("the helper failed"))?;
        if auth.is_empty() {
            return Ok(FoundCredentials::default());
        }
        Ok(FoundCredentials { credentials: daemon::credentials(auth), origin: Some(origin) })
    }
}

/// Returns the name under which credentials for a host are kept.
fn key(host: &str) -> &str {
    if host == "registry-1.docker.io" { DOCKER_HUB_KEY } else { key_of_domain(host) }
}

impl CredentialSource for Keyring {
    fn find<'a>(
        &'a self,
        host: &'a str,
    ) -> BoxFuture<'a, Result<FoundCredentials, CredentialsUnavailable>> {
        self.look_up(host).boxed()
    }
}

#[cfg(test)]
mod tests {
    use daemon::Credentials;

    use super::*;

    #[tokio::test]
    async fn credentials_are_found_under_the_very_host() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let keyring = Keyring::new(directory.path().to_owned());
        assert_eq!(keyring.find("m.example").await, Ok(FoundCredentials::default()), "no file");
        std::fs::write(
            &path,
            r#"{"auths":{"m.example":{"auth":"bWU6czNjcmV0"},"https://index.docker.io/v1/":{"auth":"aHViOnB3"}},
                "credHelpers":{"h.example":"no-such"}}"#,
        )
        .unwrap();
        for (host, expected) in [
            ("m.example", Some("me")),
            ("m.example:5000", None),
            ("x.m.example", None),
            ("registry-1.docker.io", Some("hub")),
        ] {
            let found = keyring.find(host).await.unwrap();
            let user = match &found.credentials {
                Credentials::Basic { username, .. } => Some(username.as_str()),
                _ => None,
            };
            assert_eq!(user, expected, "{host}");
            assert_eq!(found.origin, expected.map(|_| path.display().to_string()), "{host}");
            assert!(!format!("{found:?}").contains("s3cret"));
        }
        let error = keyring.find("h.example").await.unwrap_err().to_string();
        assert!(error.starts_with("docker-credential-no-such, named by "), "{error}");
        std::fs::write(&path, "{").unwrap();
        assert!(keyring.find("m.example").await.is_err());
    }
}
