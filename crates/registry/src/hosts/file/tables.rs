//! A parsed `hosts.toml`: its tables and their settings.

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderMap;
use reqwest::Url;

use crate::hosts::access::Capabilities;

/// A file, parsed.
#[derive(Clone, Debug)]
pub(crate) struct HostsFile {
    pub(crate) path: PathBuf,
    /// The `[host."…"]` tables, in the file's order.
    pub(crate) hosts: Vec<HostTable>,
    /// The host that is asked last.
    pub(crate) server: Server,
    /// Keys that nobody knows, and others that do nothing.
    pub(crate) warnings: Vec<String>,
}

impl HostsFile {
    /// Returns the settings of all hosts.
    pub(crate) fn settings(&self) -> impl Iterator<Item = &Settings> {
        let server = match &self.server {
            Server::Named(host) => &host.settings,
            Server::Itself(settings) => settings,
        };
        self.hosts.iter().map(|host| &host.settings).chain([server])
    }
}

/// The server, which is asked after all hosts.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    /// The file's `server`.
    Named(HostTable),
    /// The registry itself; the file may say how.
    Itself(Settings),
}

/// One host of a file.
#[derive(Clone, Debug)]
pub(crate) struct HostTable {
    /// Its URL; the path ends with a slash.
    pub(crate) url: Url,
    /// The path of its API; it ends with a slash.
    pub(crate) root: String,
    pub(crate) settings: Settings,
    /// The line in the file.
    pub(crate) line: usize,
}

/// The settings of a host.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) capabilities: Capabilities,
    /// Files with authorities.
    pub(crate) authorities: Vec<PathBuf>,
    /// Files with client certificates, and with their keys where these are in a file of their own.
    pub(crate) identities: Vec<(PathBuf, Option<PathBuf>)>,
    /// True if any certificate will do, if the file says so or not.
    pub(crate) skip_verify: Option<bool>,
    /// For this host and no other.
    pub(crate) headers: HeaderMap,
    /// True if the path is the API's own, to which `v2` is not added.
    pub(crate) override_path: bool,
    /// The time to connect.
    pub(crate) dial_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capabilities: Capabilities::ALL,
            authorities: Vec::new(),
            identities: Vec::new(),
            skip_verify: None,
            headers: HeaderMap::new(),
            override_path: false,
            dial_timeout: None,
        }
    }
}

impl fmt::Debug for Settings {
    /// Prints the headers' names only: what is in them may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("capabilities", &self.capabilities)
            .field("authorities", &self.authorities)
            .field("identities", &self.identities)
            .field("skip_verify", &self.skip_verify)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("override_path", &self.override_path)
            .field("dial_timeout", &self.dial_timeout)
            .finish()
    }
}

impl Settings {
    /// Tells whether the file says anything about TLS.
    pub(crate) fn configures_tls(&self) -> bool {
        !self.authorities.is_empty() || !self.identities.is_empty() || self.skip_verify.is_some()
    }
}
