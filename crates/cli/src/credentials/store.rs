//! Getting, keeping and forgetting credentials, wherever they are.

use std::path::Path;

use api::auth::AuthConfig;

use super::ambient;
use super::config_file::ConfigFile;
use super::helper::Helper;
use super::server::host_of;
use crate::error::CliError;
use crate::hints::{self, Subject};
use crate::output;

/// The credentials of a user.
#[derive(Debug)]
pub(crate) struct Store {
    file: ConfigFile,
    /// The value of `DOCKER_AUTH_CONFIG`; it goes before everything else.
    ambient: Vec<AuthConfig>,
    /// True once the user was told that passwords are written into a file.
    warned: bool,
}

impl Store {
    /// Reads the configuration of a directory. Where it says nothing about credentials yet, a keychain that this
    /// machine has is used.
    pub(crate) fn open(directory: &Path) -> Result<Store, CliError> {
        let ambient = ambient::entries().unwrap_or_else(|reason| {
            output::warn_line(&format!(
                "Failed to create credential store from DOCKER_AUTH_CONFIG:  {reason}"
            ));
            output::hint("correct DOCKER_AUTH_CONFIG; it goes on without its logins");
            Vec::new()
        });
        Store::with(directory, ambient)
    }

    /// The same, for who tells elsewhere that `DOCKER_AUTH_CONFIG` cannot be read.
    pub(crate) fn open_quietly(directory: &Path) -> Result<Store, CliError> {
        Store::with(directory, ambient::entries().unwrap_or_default())
    }

    fn with(directory: &Path, ambient: Vec<AuthConfig>) -> Result<Store, CliError> {
        let mut file = ConfigFile::load(directory)?;
        if !file.configures_credentials()
            && let Some(name) = installed_helper()
        {
            file.set_default_helper(name);
        }
        Ok(Store { file, ambient, warned: false })
    }

    /// Reads what is written there, and no more: no helper is asked, which might ask the user.
    pub(crate) fn without_helpers(directory: &Path) -> Result<Store, CliError> {
        let file = ConfigFile::load(directory)?.without_helpers();
        Ok(Store { file, ambient: ambient::entries().unwrap_or_default(), warned: false })
    }

    /// Returns a store without credentials.
    pub(crate) fn empty(directory: &Path) -> Store {
        Store { file: ConfigFile::empty(directory), ambient: Vec::new(), warned: false }
    }

    /// Returns the configuration file.
    pub(crate) fn file(&self) -> &ConfigFile {
        &self.file
    }

    /// Returns the credentials for a server, empty where there are none.
    pub(crate) async fn get(&self, server: &str) -> Result<AuthConfig, CliError> {
        if let Some(auth) = self.ambient_entry(server) {
            return Ok(auth.clone());
        }
        let kept = self.file.entry(server).unwrap_or_default();
        let Some(name) = self.file.helper(server) else { return Ok(kept) };
        let found = Helper::named(name).get(server).await?.unwrap_or_default();
        // A registry token is the user's own entry in the file; helpers know none.
        Ok(AuthConfig { registrytoken: kept.registrytoken, ..found })
    }

    /// Returns the credentials for a server. Where there is something wrong with them, the user is told and goes on
    /// without, as with Docker: what can be had without credentials still can.
    pub(crate) async fn get_or_warn(&self, server: &str) -> AuthConfig {
        self.get(server).await.unwrap_or_else(|error| {
            output::warn_line(&format!("WARNING: {error}"));
            hints::hint(&error, &Subject::default()).inspect(|hint| output::hint(hint));
            AuthConfig::default()
        })
    }

    /// Returns where the credentials for a server are kept, in words.
    pub(crate) fn origin(&self, server: &str) -> String {
        match self.file.helper(server) {
            _ if self.ambient_entry(server).is_some() => "DOCKER_AUTH_CONFIG".to_owned(),
            Some(name) => {
                format!("docker-credential-{name}, named by {}", self.file.path().display())
            }
            None => self.file.path().display().to_string(),
        }
    }

    fn ambient_entry(&self, server: &str) -> Option<&AuthConfig> {
        let named = self.ambient.iter().find(|auth| auth.serveraddress == server);
        named.or_else(|| self.ambient.iter().find(|auth| host_of(&auth.serveraddress) == server))
    }

    /// Keeps credentials under their server's name. Warns where that means to write a password into a file.
    pub(crate) async fn store(&mut self, auth: &AuthConfig) -> Result<(), CliError> {
        if let Some(name) = self.file.helper(&auth.serveraddress) {
            Helper::named(name).store(auth).await?;
            let empty =
                AuthConfig { serveraddress: auth.serveraddress.clone(), ..AuthConfig::default() };
            self.file.set_entry(&empty);
            return self.file.save();
        }
        if !self.file.set_entry(auth) {
            return Ok(());
        }
        self.file.save()?;
        if !auth.password.is_empty() && !self.warned {
            self.warned = true;
            output::warn(&unencrypted_warning(self.file.path()));
        }
        Ok(())
    }

    /// Forgets the credentials under this very name.
    pub(crate) async fn erase(&mut self, server: &str) -> Result<(), CliError> {
        if let Some(name) = self.file.helper(server) {
            Helper::named(name).erase(server).await?;
        }
        if self.file.remove_entry(server) { self.file.save() } else { Ok(()) }
    }
}

fn unencrypted_warning(path: &Path) -> String {
    format!(
        "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
         Configure a credential helper to remove this warning. See\n\
         https://docs.docker.com/go/credential-store/\n\n",
        path.display()
    )
}

/// Returns the keychain's helper that Docker takes by default: `pass` where that program is, else the secret
/// service's, if the helper is there.
fn installed_helper() -> Option<&'static str> {
    let paths = std::env::var_os("PATH")?;
    let installed =
        |program: &str| std::env::split_paths(&paths).any(|path| path.join(program).is_file());
    let name = if installed("pass") { "pass" } else { "secretservice" };
    installed(&format!("docker-credential-{name}")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(server: &str) -> AuthConfig {
        AuthConfig {
            username: "me".into(),
            password: "pw".into(),
            serveraddress: server.into(),
            ..AuthConfig::default()
        }
    }

    #[tokio::test]
    async fn the_file_keeps_what_no_helper_does() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), r#"{"credHelpers":{"h":"none"}}"#)
            .unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        assert!(store.get("x.example").await.unwrap().is_empty());
        store.store(&auth("x.example")).await.unwrap();
        let mut again = Store::open(directory.path()).unwrap();
        assert_eq!(again.get("x.example").await.unwrap(), auth("x.example"));
        again.erase("x.example").await.unwrap();
        assert!(Store::open(directory.path()).unwrap().get("x.example").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_failing_helper_is_an_error_and_writes_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, r#"{"credsStore":"no-such-helper"}"#).unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        assert!(store.get("x.example").await.is_err());
        assert!(store.store(&auth("x.example")).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), r#"{"credsStore":"no-such-helper"}"#);
    }

    #[test]
    fn the_warning_is_dockers() {
        let expected = "\nWARNING! Your credentials are stored unencrypted in '/c/config.json'.\n\
            Configure a credential helper to remove this warning. See\n\
            https://docs.docker.com/go/credential-store/\n\n";
        assert_eq!(unencrypted_warning(Path::new("/c/config.json")), expected);
    }
}
