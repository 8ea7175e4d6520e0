//! What every verb works with: the client, the credentials, and the flags that all verbs share.

use std::path::PathBuf;
use std::sync::Arc;

use api::ApiVersion;

use crate::activation::Variables;
use crate::client::{Client, Local};
use crate::context::{self, Choice};
use crate::credentials::{Keyring, Store};
use crate::error::CliError;
use crate::globals::{EngineFlags, Globals};
use crate::output;
use crate::settings;
use crate::values::boolean;

/// The parts of the environment that the command line reads, taken once at the start.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub(crate) struct Environment {
    /// `LONGSHORE_HOST`, or else `DOCKER_HOST`.
    pub(crate) host: Option<String>,
    /// True if that is `LONGSHORE_HOST`.
    pub(crate) own_host: bool,
    /// `LONGSHORE_DATA_ROOT`: what `--data-root` says, unless that is given.
    pub(crate) data_root: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub(crate) data_home: Option<PathBuf>,
    /// `DOCKER_CONTEXT`.
    pub(crate) context: Option<String>,
    /// Whether `DOCKER_TLS` has a value: any does.
    pub(crate) tls: bool,
    /// Whether `DOCKER_TLS_VERIFY` has a value.
    pub(crate) tls_verify: bool,
    /// `DOCKER_API_VERSION`.
    pub(crate) api_version: Option<String>,
    /// `DOCKER_DEFAULT_PLATFORM`.
    pub(crate) default_platform: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_directory: Option<PathBuf>,
    /// Whether `NO_COLOR` has a value: any does, as <https://no-color.org> has it.
    pub(crate) no_color: bool,
    /// True if `DOCKER_CONTENT_TRUST` asks for signatures.
    pub(crate) content_trust: bool,
    /// Whether `DOCKER_CLI_DISABLE_OAUTH_LOGIN` says that nobody logs in by a browser.
    pub(crate) no_browser_login: bool,
    /// The proxies to registries.
    pub(crate) proxies: ProxyVariables,
    /// `DOCKER_CERT_PATH`.
    pub(crate) cert_path: Option<PathBuf>,
    /// Where the configuration of the command line is, unless a flag says otherwise: `DOCKER_CONFIG`.
    pub(crate) config_directory: Option<PathBuf>,
    /// What the service manager hands to a daemon.
    pub(crate) activation: Variables,
    /// Whether the user is root.
    pub(crate) is_root: bool,
}

/// Proxies, by the variables of these names in capital or small letters.
#[derive(Clone, Default)]
pub(crate) struct ProxyVariables {
    /// `HTTP_PROXY`
    pub(crate) http: Option<String>,
    /// `HTTPS_PROXY`
    pub(crate) https: Option<String>,
    /// `ALL_PROXY`, which stands in for both
    pub(crate) all: Option<String>,
    /// `NO_PROXY`
    pub(crate) no_proxy: Option<String>,
}

impl std::fmt::Debug for ProxyVariables {
    /// Prints no value: they may hold passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ProxyVariables").finish_non_exhaustive()
    }
}

impl Environment {
    /// Reads the environment of this process. An empty variable counts as none.
    pub(crate) fn read() -> Environment {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        Environment {
            host: text("LONGSHORE_HOST").or_else(|| text("DOCKER_HOST")),
            own_host: text("LONGSHORE_HOST").is_some(),
            data_root: path("LONGSHORE_DATA_ROOT"),
            home: path("HOME"),
            // The XDG specification has relative paths ignored.
            data_home: path("XDG_DATA_HOME").filter(|path| path.is_absolute()),
            context: text("DOCKER_CONTEXT"),
            tls: text("DOCKER_TLS").is_some(),
            tls_verify: std::env::var_os("DOCKER_TLS_VERIFY")
                .is_some_and(|value| !value.is_empty()),
            api_version: text("DOCKER_API_VERSION"),
            default_platform: text("DOCKER_DEFAULT_PLATFORM"),
            runtime_directory: path("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()),
            content_trust: text("DOCKER_CONTENT_TRUST")
                .is_some_and(|value| wants_content_trust(&value)),
            no_browser_login: text("DOCKER_CLI_DISABLE_OAUTH_LOGIN")
                .is_some_and(|value| boolean(&value) == Ok(true)),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            proxies: ProxyVariables {
                http: text("HTTP_PROXY").or_else(|| text("http_proxy")),
                https: text("HTTPS_PROXY").or_else(|| text("https_proxy")),
                all: text("ALL_PROXY").or_else(|| text("all_proxy")),
                no_proxy: text("NO_PROXY").or_else(|| text("no_proxy")),
            },
            cert_path: path("DOCKER_CERT_PATH"),
            config_directory: path("DOCKER_CONFIG"),
            activation: Variables {
                pid: text("LISTEN_PID"),
                count: text("LISTEN_FDS"),
                names: text("LISTEN_FDNAMES"),
                notify: path("NOTIFY_SOCKET"),
            },
            is_root: rustix::process::geteuid().is_root(),
        }
    }
}

impl Environment {
    /// Where the configuration of the command line is, unless a flag says otherwise.
    pub(crate) fn config_directory(&self) -> PathBuf {
        let own = || self.home.clone().unwrap_or_default().join(".docker");
        self.config_directory.clone().unwrap_or_else(own)
    }

    /// Where certificates and keys for TLS with a daemon are, unless flags say otherwise.
    pub(crate) fn tls_directory(&self, config_directory: PathBuf) -> PathBuf {
        self.cert_path.clone().unwrap_or(config_directory)
    }
}

/// What a verb works with.
#[derive(Debug)]
pub(crate) struct Session {
    /// The client of the daemon, or of the engine in this process.
    pub(crate) client: Client,
    /// The name of docker's context that is used.
    pub(crate) context: String,
    /// The environment.
    pub(crate) environment: Environment,
    /// Whether `--debug` was given.
    pub(crate) debug: bool,
    config_directory: PathBuf,
    engine: EngineFlags,
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
        Ok(Session { client, context, environment, debug, config_directory, engine })
    }

    /// Returns a client of an engine in this process that keeps nothing, for what a daemon cannot ask registries.
    pub(crate) fn in_process(&self) -> Result<Client, CliError> {
        let keyring = Arc::new(Keyring::new(self.config_directory.clone()));
        let config = settings::engine(&self.engine, &self.environment)?;
        Ok(Client::local(Local::without_store(config, keyring), None))
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
            Store::empty(&self.config_directory)
        })
    }
}

/// Returns whether a value of `DOCKER_CONTENT_TRUST` asks for content trust: as with docker, whatever is not said to be false is true.
fn wants_content_trust(value: &str) -> bool {
    !value.is_empty() && boolean(value).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_false_turns_content_trust_off() {
        for (value, expected) in [
            ("", false),
            ("0", false),
            ("false", false),
            ("F", false),
            ("1", true),
            ("true", true),
            ("yes", true),
            (" ", true),
        ] {
            assert_eq!(wants_content_trust(value), expected, "{value:?}");
        }
    }
}
