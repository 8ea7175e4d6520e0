//! `certs.d/<registry>/hosts.toml`: who is asked in a registry's place, as containerd and dockerd 29 read it.
//!
//! # Where
//!
//! In each certificate directory in order, the registry's own directory (`host_port_`, then `host:port`); where no
//! directory has one of its own, `_default` in each. The first `hosts.toml` that is found counts alone.
//!
//! The files are read whenever a registry is about to be asked: a changed one needs no restart.

mod duration;
mod parse;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderMap;
use reqwest::Url;

use crate::{RegistryError, hosts::access::Capabilities};

/// The file's name.
const NAME: &str = "hosts.toml";
/// The directory for registries without one of their own.
const DEFAULT: &str = "_default";
/// The largest file that is read, in bytes. A host takes some hundred.
const MAX_SIZE: u64 = 256 << 10;

/// A file, parsed.
#[derive(Clone, Debug)]
pub(crate) struct HostsFile {
    pub(crate) path: PathBuf,
    /// The `[host."…"]` tables, in the file's order.
    pub(crate) hosts: Vec<HostTable>,
    /// Who is asked last.
    pub(crate) server: Server,
    /// Keys that nobody knows, and others that do nothing.
    pub(crate) warnings: Vec<String>,
}

/// Who is asked after all hosts.
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
    /// Where in the file.
    pub(crate) line: usize,
}

/// How a host is asked.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) capabilities: Capabilities,
    /// Files with authorities.
    pub(crate) authorities: Vec<PathBuf>,
    /// Files with client certificates, and with their keys where these are in a file of their own.
    pub(crate) identities: Vec<(PathBuf, Option<PathBuf>)>,
    /// Whether any certificate will do, if the file says so or not.
    pub(crate) skip_verify: Option<bool>,
    /// For this host and no other.
    pub(crate) headers: HeaderMap,
    /// Whether the path is the API's own, to which `v2` is not added.
    pub(crate) override_path: bool,
    /// How long connecting may take.
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

/// Finds and reads the file for a registry, if there is one. Blocking.
pub(crate) fn load(
    directories: &[PathBuf],
    registry: &str,
) -> Result<Option<HostsFile>, RegistryError> {
    let mut has_own = false;
    for directory in directories {
        for name in names(registry) {
            let own = directory.join(name);
            // As in containerd, a directory of its own stands for the registry, whatever is in it.
            has_own |= own.is_dir();
            if let Some(file) = read(&own.join(NAME))? {
                return Ok(Some(file));
            }
        }
    }
    if has_own {
        return Ok(None);
    }
    for directory in directories {
        if let Some(file) = read(&directory.join(DEFAULT).join(NAME))? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Returns the names that a registry's directory may have, the first first.
fn names(registry: &str) -> Vec<String> {
    // What is no host would lead elsewhere.
    if matches!(registry, "" | "." | ".." | DEFAULT) || registry.contains(['/', '\\', '\0']) {
        return Vec::new();
    }
    let port = registry.rsplit_once(':').filter(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let escaped = port.map(|(host, port)| format!("{host}_{port}_"));
    escaped.into_iter().chain([registry.to_owned()]).collect()
}

/// Reads a file; one that is not there, and one without content, is none.
fn read(path: &Path) -> Result<Option<HostsFile>, RegistryError> {
    use io::{ErrorKind as Kind, Read};
    let failed = |source| RegistryError::ReadHosts { path: path.into(), source };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error)
            if matches!(
                error.kind(),
                Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        // A FIFO would hold up whoever reads it.
        return Err(failed(io::Error::new(Kind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SIZE {
        let reason = format!("larger than {MAX_SIZE} bytes");
        return Err(RegistryError::HostsFile { path: path.into(), line: 1, reason });
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    parse::parse(path, &bytes).map(Some)
}

#[cfg(test)]
mod tests;

/// Fuzz target: hosts can be asked, are no more than they may be, and what is wrong is told without a secret of the file.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    const SECRET: &str = "s3cret";
    let found = match parse::parse(Path::new("hosts.toml"), data) {
        Ok(found) => found,
        Err(error) => {
            let text = String::from_utf8_lossy(data);
            let is_value = text.contains(&format!("= \"{SECRET}\""));
            let told = error.to_string();
            assert!(!is_value || !told.contains(SECRET), "{told}");
            return;
        }
    };
    let named = match &found.server {
        Server::Named(server) => Some(server),
        Server::Itself(_) => None,
    };
    assert!(found.hosts.len() <= 32 && found.warnings.len() <= 64);
    for host in found.hosts.iter().chain(named) {
        assert!(matches!(host.url.scheme(), "http" | "https") && host.url.host().is_some());
        assert!(host.root.starts_with('/') && host.root.ends_with('/'), "{}", host.root);
        assert!(!format!("{:?}", host.settings).contains(SECRET));
    }
}
