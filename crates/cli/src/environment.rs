//! The environment, read once at the start.

use std::path::PathBuf;

use crate::activation::Variables;
use crate::home;
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
    /// `HOME`, or else what `/etc/passwd` has for this user.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub(crate) data_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`.
    pub(crate) cache_home: Option<PathBuf>,
    /// `DOCKER_CONTEXT`.
    pub(crate) context: Option<String>,
    /// True if `DOCKER_TLS` has a value: any does.
    pub(crate) tls: bool,
    /// True if `DOCKER_TLS_VERIFY` has a value.
    pub(crate) tls_verify: bool,
    /// True if `DOCKER_ENABLE_DEPRECATED_PULL_SCHEMA_1_IMAGE` has a value: any does.
    pub(crate) allow_schema1: bool,
    /// `DOCKER_API_VERSION`.
    pub(crate) api_version: Option<String>,
    /// `DOCKER_DEFAULT_PLATFORM`.
    pub(crate) default_platform: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_directory: Option<PathBuf>,
    /// True if `NO_COLOR` has a value: any does, as <https://no-color.org> has it.
    pub(crate) no_color: bool,
    /// True if `TERM` says that the terminal moves no cursor.
    pub(crate) dumb_terminal: bool,
    /// True if `DOCKER_CONTENT_TRUST` asks for signatures.
    pub(crate) content_trust: bool,
    /// The passphrases of keys that sign.
    pub(crate) passphrases: PassphraseVariables,
    /// `DOCKER_CONTENT_TRUST_SERVER`.
    pub(crate) trust_server: Option<String>,
    /// `COSIGN_PASSWORD`, which may be empty and is then one.
    pub(crate) cosign_password: Secret,
    /// True if `DOCKER_CLI_DISABLE_OAUTH_LOGIN` says that nobody logs in by a browser.
    pub(crate) no_browser_login: bool,
    /// The proxies to registries.
    pub(crate) proxies: ProxyVariables,
    /// `DOCKER_CERT_PATH`.
    pub(crate) cert_path: Option<PathBuf>,
    /// The directory of the command line's configuration, unless a flag says otherwise: `DOCKER_CONFIG`.
    pub(crate) config_directory: Option<PathBuf>,
    /// The variables of the service manager, for a daemon.
    pub(crate) activation: Variables,
    /// True for root.
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

/// A value that is printed nowhere.
#[derive(Clone, Default)]
pub(crate) struct Secret(Option<String>);

impl Secret {
    pub(crate) fn expose(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl std::fmt::Debug for ProxyVariables {
    /// Prints no value: they may hold passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ProxyVariables").finish_non_exhaustive()
    }
}

/// Passphrases of keys that sign.
#[derive(Clone, Default)]
pub(crate) struct PassphraseVariables {
    /// `DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE`
    pub(crate) root: Option<String>,
    /// `DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE`
    pub(crate) repository: Option<String>,
}

impl std::fmt::Debug for PassphraseVariables {
    /// Prints no value.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PassphraseVariables").finish_non_exhaustive()
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
            home: path("HOME").or_else(home::of_user),
            // The XDG specification has relative paths ignored.
            data_home: path("XDG_DATA_HOME").filter(|path| path.is_absolute()),
            cache_home: path("XDG_CACHE_HOME").filter(|path| path.is_absolute()),
            context: text("DOCKER_CONTEXT"),
            tls: text("DOCKER_TLS").is_some(),
            tls_verify: std::env::var_os("DOCKER_TLS_VERIFY")
                .is_some_and(|value| !value.is_empty()),
            allow_schema1: text("DOCKER_ENABLE_DEPRECATED_PULL_SCHEMA_1_IMAGE").is_some(),
            api_version: text("DOCKER_API_VERSION"),
            default_platform: text("DOCKER_DEFAULT_PLATFORM"),
            runtime_directory: path("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()),
            content_trust: text("DOCKER_CONTENT_TRUST")
                .is_some_and(|value| wants_content_trust(&value)),
            passphrases: PassphraseVariables {
                root: text("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE"),
                repository: text("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"),
            },
            trust_server: text("DOCKER_CONTENT_TRUST_SERVER"),
            cosign_password: Secret(std::env::var("COSIGN_PASSWORD").ok()),
            no_browser_login: text("DOCKER_CLI_DISABLE_OAUTH_LOGIN")
                .is_some_and(|value| boolean(&value) == Ok(true)),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb_terminal: text("TERM").is_some_and(|term| term == "dumb"),
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
