//! Configuration of a daemon: `daemon.json`, the flags, and defaults where neither says anything.

mod address;
pub(crate) mod directives;
mod error;
mod file;
mod proxies;
mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use registry::{ProxyConfig, RegistryConfig};

pub use address::{ListenAddress, ListenAddressError, default_address};
pub use directives::{DaemonConfig, Directive, Directives, Reload};
pub use error::{ConfigError, UnknownDirective};
use file::Merged;
pub use proxies::Proxies;
pub(crate) use proxies::mask_credentials;
pub use settings::{
    Defaults, Group, KeepBlobs, KeepBlobsDirective, LogFormat, PruneDirective, PruneSchedule,
    TlsFiles, TlsMode, VerifiersDirective,
};

/// The largest `daemon.json` that is read, in bytes. Those in use have some hundred.
const MAX_FILE_SIZE: u64 = 1024 * 1024;
/// The address of a daemon with TLS that was told of none, as dockerd's.
const TLS_ADDRESS: &str = "localhost:2376";

/// Path of `daemon.json`.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Path as it is opened.
    pub path: PathBuf,
    /// True if the user named it, so that it must exist.
    pub required: bool,
}

impl DaemonConfig {
    /// Reads the file and puts the flags over it. A missing file is an empty one unless the user named it.
    pub fn load(
        file: &ConfigFile,
        flags: &Directives,
        defaults: Defaults,
    ) -> Result<Self, ConfigError> {
        let text = match read(&file.path) {
            Err(ConfigError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && !file.required =>
            {
                return Self::check(Merged::new("", flags)?, defaults);
            }
            other => other?,
        };
        let merged = Merged::new(&text, flags);
        let checked = merged.and_then(|merged| {
            let senseless = |error| ConfigError::Merged(Box::new(error));
            Self::check(merged, defaults).map_err(senseless)
        });
        checked.map_err(|source| ConfigError::File {
            path: file.path.clone(),
            source: Box::new(source),
        })
    }

    /// Makes a configuration of the directives of file and flags.
    fn check(merged: Merged, defaults: Defaults) -> Result<Self, ConfigError> {
        let Merged { directives, ignored } = merged;
        let tls_verify = defaults.tls_verify;
        let mut config = Self::new(defaults);
        if !ignored.is_empty() {
            config.warnings.push(format!(
                "the following directives of the configuration file are for containers, networks, plugins or a swarm, \
                 and mean nothing here: {}",
                ignored.join(", ")
            ));
        }
        config.apply(&directives)?;
        let mut hosts = directives.hosts.iter().flatten();
        // The environment's wish holds where there is TCP to secure: it may be there for a client.
        let is_open = |host: &String| !matches!(host.parse(), Ok(ListenAddress::Unix(_)));
        if tls_verify && config.tlsverify.is_none() && hosts.clone().any(is_open) {
            config.tlsverify = Some(true);
        }
        if config.tls_files().is_some() && hosts.all(|host| host.trim().is_empty()) {
            config.hosts = vec![ListenAddress::Tcp(TLS_ADDRESS.to_owned())];
        }
        config.registry("").validate().map_err(ConfigError::Registry)?;
        Ok(config)
    }

    /// TLS for TCP, if there is any. Whoever says anything of verification wants TLS, and who wants TLS and says nothing
    /// of verification wants that, too: as dockerd has it.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        if self.tlsverify.is_none() && self.tls != Some(true) {
            return None;
        }
        Some(TlsFiles {
            mode: if self.tlsverify.unwrap_or(true) { TlsMode::Verify } else { TlsMode::Encrypt },
            authority: self.tlscacert.clone(),
            certificate: self.tlscert.clone(),
            key: self.tlskey.clone(),
        })
    }

    /// The least important messages to log.
    pub fn level(&self) -> tracing::Level {
        if self.debug { tracing::Level::DEBUG.max(self.log_level) } else { self.log_level }
    }

    /// Settings of the registry client.
    pub fn registry(&self, version: &str) -> RegistryConfig {
        RegistryConfig {
            mirrors: self.registry_mirrors.clone(),
            insecure: self.insecure_registries.clone(),
            nondistributable: self.allow_nondistributable_artifacts.clone(),
            certs_dirs: self.certs_dirs.clone(),
            first_schema: self.allow_schema1,
            user_agent: format!("longshore/{version}"),
            proxy: ProxyConfig {
                http: self.proxies.http.clone(),
                https: self.proxies.https.clone(),
                all: self.proxies.all.clone(),
                no_proxy: self.proxies.no_proxy.clone(),
            },
            stall_timeout: self.stall_timeout,
            ..RegistryConfig::default()
        }
    }

    /// Judges of images that are pulled. Paths are kept while the process may change its directory.
    pub fn trust(&self) -> policy::Settings {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let verifiers = self.image_verifiers.as_ref();
        policy::Settings {
            policy: self.image_policy.as_ref().map(absolute),
            verifiers: verifiers.map(|verifiers| policy::Verifiers {
                directory: absolute(&verifiers.directory),
                ..verifiers.clone()
            }),
        }
    }

    /// Limits of work at the same time.
    pub(crate) fn limits(&self) -> engine::Limits {
        engine::Limits {
            downloads: self.max_concurrent_downloads,
            uploads: self.max_concurrent_uploads,
            attempts: self.max_download_attempts,
        }
    }
}

/// Says whether a file is `/dev/null`, by which people say that there is to be no configuration.
fn is_null_device(metadata: &std::fs::Metadata) -> bool {
    let device = metadata.rdev();
    metadata.file_type().is_char_device()
        && (rustix::fs::major(device), rustix::fs::minor(device)) == (1, 3)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    // A FIFO or a device would hold up the whole daemon when it reloads.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() && !is_null_device(&metadata) {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_SIZE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(ConfigError::File {
            path: path.to_owned(),
            source: Box::new(ConfigError::TooLarge(MAX_FILE_SIZE)),
        });
    }
    Ok(text)
}

/// Fuzz target: what a file says is written as a file that says the same, and both are taken or refused alike.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(merged) = Merged::new(text, &Directives::default()) else { return };
    let written = serde_json::to_string(&merged.directives).expect("directives cannot be written");
    let again = Merged::new(&written, &Directives::default());
    let again = again.expect("what was written cannot be read");
    assert!(again.directives == merged.directives, "{written}");
    let check = |directives| {
        let defaults = Defaults {
            data_root: "/data".into(),
            hosts: Vec::new(),
            certs_dirs: Vec::new(),
            tls_dir: "/tls".into(),
            tls_verify: false,
            allow_schema1: false,
            proxies: Proxies::default(),
        };
        DaemonConfig::check(Merged { directives, ignored: Vec::new() }, defaults).ok()
    };
    let config = check(merged.directives);
    assert_eq!(check(again.directives), config);
    if let Some(config) = config {
        assert!(config.limits().downloads > 0 && config.limits().uploads > 0);
        let _ = config.registry("fuzz");
    }
}
