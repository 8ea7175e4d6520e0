//! The session of a verb: the client, the credentials, and the flags that all verbs share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::ApiVersion;
use copy::{RegistryConfig, Trust};

use crate::client::{Client, Local};
use crate::context::{self, Choice};
use crate::credentials::{Keyring, Store};
use crate::environment::Environment;
use crate::error::CliError;
use crate::globals::{EngineFlags, Globals};
use crate::hints::{self, Subject};
use crate::output;
use crate::settings;

impl Environment {
    /// The directory of the command line's configuration, unless a flag says otherwise. It is empty where there is none: in the
    /// current directory, be it a checkout, nobody looks for logins.
    pub(crate) fn config_directory(&self) -> PathBuf {
        let own = || self.home.as_ref().map(|home| home.join(".docker"));
        self.config_directory.clone().or_else(own).unwrap_or_default()
    }

    /// The directory of certificates and keys for TLS with a daemon, unless flags say otherwise.
    pub(crate) fn tls_directory(&self, config_directory: PathBuf) -> PathBuf {
        self.cert_path.clone().unwrap_or(config_directory)
    }
}

/// The client, the credentials and the settings that a verb works with.
#[derive(Debug)]
pub(crate) struct Session {
    /// The client of the daemon, or of the engine in this process.
    pub(crate) client: Client,
    /// The name of docker's context that is used.
    pub(crate) context: String,
    /// The variables, as they were at the start.
    pub(crate) environment: Environment,
    /// True if `--debug` was given.
    pub(crate) debug: bool,
    config_directory: PathBuf,
    engine: EngineFlags,
    /// True if the engine is not in this process.
    is_daemon: bool,
}

fn refuse_policy(flags: &EngineFlags) -> Result<(), CliError> {
    if flags.image_policy.is_none() {
        return Ok(());
    }
    let message = "--image-policy is for the engine in this process; a daemon has its own, by `image-policy` in its configuration";
    Err(CliError::Refused(message.to_owned()))
}

impl Session {
    /// Decides where the engine is; connects to nothing yet. What needs no store touches no data root.
    pub(crate) fn new(
        globals: &Globals,
        environment: Environment,
        needs_store: bool,
    ) -> Result<Session, CliError> {
        let version = match &environment.api_version {
            Some(version) => Some(version.trim_start_matches('v').parse::<ApiVersion>()?),
            None => None,
        };
        let config_directory =
            globals.config.clone().unwrap_or_else(|| environment.config_directory());
        let engine = &globals.engine;
        let chooses_store = engine.data_root.is_some() || engine.storage_driver.is_some();
        if chooses_store && (globals.host.is_some() || globals.context.is_some()) {
            let message = "conflicting options: --data-root and --storage-driver are for the engine in this \
                           process, --host and --context are for a daemon with a data root of its own";
            return Err(CliError::Refused(message.to_owned()));
        }
        // A flag goes before the environment: who names a data root means the one of this process. So does who names one
        // in the environment, unless a daemon is named in a way that is Longshore's, too.
        let names_daemon =
            globals.host.is_some() || globals.context.is_some() || environment.own_host;
        let choice = if chooses_store || environment.data_root.is_some() && !names_daemon {
            Choice { context: context::DEFAULT.to_owned(), endpoint: None }
        } else {
            context::choose(globals, &environment, &config_directory)?
        };
        if needs_store && choice.endpoint.is_some() {
            refuse_policy(engine)?;
        }
        let is_daemon = choice.endpoint.is_some();
        let client = if let Some(endpoint) = choice.endpoint {
            Client::remote(endpoint, version)
        } else {
            let keyring = Arc::new(Keyring::new(config_directory.clone()));
            let config = settings::engine(engine, &environment)?;
            let local = if needs_store { Local::new } else { Local::without_store };
            Client::local(local(config, keyring), version)
        };
        let (context, debug) = (choice.context, globals.debug);
        let engine = engine.clone();
        Ok(Session { client, context, environment, debug, config_directory, engine, is_daemon })
    }

    /// Fails if a policy is named and a daemon is asked, which has its own: what is asked for is not to be dropped in silence.
    pub(crate) fn refuse_policy_for_daemon(&self) -> Result<(), CliError> {
        if self.is_daemon { refuse_policy(&self.engine) } else { Ok(()) }
    }

    /// Says whether the engine is not in this process.
    pub(crate) fn asks_daemon(&self) -> bool {
        self.is_daemon
    }

    /// Takes what came of a verb that docker has not: where no daemon is asked, none is spoken of.
    pub(crate) fn plainly(&self, ended: Result<(), CliError>) -> Result<(), CliError> {
        if self.is_daemon { ended } else { ended.map_err(CliError::without_daemon) }
    }

    /// Returns a client of an engine in this process that keeps nothing, for what a daemon cannot ask registries.
    pub(crate) fn in_process(&self) -> Result<Client, CliError> {
        self.in_process_with(Keyring::new(self.config_directory.clone()))
    }

    /// The same, by which no credential helper is asked.
    pub(crate) fn in_process_without_helpers(&self) -> Result<Client, CliError> {
        self.in_process_with(Keyring::without_helpers(self.config_directory.clone()))
    }

    /// The same, which does not warn of `DOCKER_AUTH_CONFIG`.
    pub(crate) fn in_process_quietly(&self) -> Result<Client, CliError> {
        self.in_process_with(Keyring::quiet(self.config_directory.clone()))
    }

    fn in_process_with(&self, keyring: Keyring) -> Result<Client, CliError> {
        let config = settings::engine(&self.engine, &self.environment)?;
        Ok(Client::local(Local::without_store(config, Arc::new(keyring)), None))
    }

    /// Returns how registries are reached from this process, as the engine in it would.
    pub(crate) fn registries(&self) -> Result<RegistryConfig, CliError> {
        let keyring = Arc::new(Keyring::new(self.config_directory.clone()));
        let config = settings::engine(&self.engine, &self.environment)?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(RegistryConfig { credentials: Some(keyring), ..config.registry(version) })
    }

    /// Returns the file in which copies keep where blobs went, if there is a folder for such things.
    pub(crate) fn copied(&self) -> Option<PathBuf> {
        let of_home = || self.environment.home.as_ref().map(|home| home.join(".cache"));
        let folder = self.environment.cache_home.clone().or_else(of_home)?;
        folder.is_absolute().then(|| folder.join("longshore/copied"))
    }

    /// Returns who judges images that this process copies, as the engine in it would have them judged.
    pub(crate) fn trust(&self) -> Result<Trust, CliError> {
        Ok(settings::engine(&self.engine, &self.environment)?.trust())
    }

    /// Returns the directory of the command line's configuration; an empty path where there is none.
    pub(crate) fn config_directory(&self) -> &Path {
        &self.config_directory
    }

    /// Returns that directory for a verb that keeps something in it.
    pub(crate) fn own_directory(&self) -> Result<&Path, CliError> {
        if self.config_directory.as_os_str().is_empty() {
            return Err(CliError::NoConfigDirectory);
        }
        Ok(&self.config_directory)
    }

    /// Reads the configuration file and returns the credentials, for a verb that may write the file: one that cannot
    /// be read is not to be replaced.
    pub(crate) fn credentials(&self) -> Result<Store, CliError> {
        Store::open(&self.config_directory)
    }

    /// Reads the configuration file for a verb that only asks it; one that cannot be read is as good as none.
    pub(crate) fn credentials_to_read(&self) -> Store {
        Store::open(&self.config_directory).unwrap_or_else(|error| {
            output::warn_line(&format!("WARNING: Error {error}"));
            hints::hint(&error, &Subject::default()).inspect(|hint| output::hint(hint));
            Store::empty(&self.config_directory)
        })
    }
}
