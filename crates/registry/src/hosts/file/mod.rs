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
mod tables;

use std::{
    io,
    path::{Path, PathBuf},
};

pub(crate) use tables::{HostTable, HostsFile, Server, Settings};

use crate::SettingsError;

/// The file's name.
pub(super) const NAME: &str = "hosts.toml";
/// The directory for registries without one of their own.
const DEFAULT: &str = "_default";
/// The largest file that is read, in bytes. A host takes some hundred.
const MAX_SIZE: u64 = 256 << 10;

/// Finds and reads the file for a registry, if there is one. Blocking.
pub(crate) fn load(
    directories: &[PathBuf],
    registry: &str,
) -> Result<Option<HostsFile>, SettingsError> {
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
pub(super) fn read(path: &Path) -> Result<Option<HostsFile>, SettingsError> {
    use io::{ErrorKind as Kind, Read};
    let failed = |source| SettingsError::ReadHosts { path: path.into(), source };
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
        return Err(SettingsError::HostsFile { path: path.into(), line: 1, reason });
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    parse::parse(path, &bytes).map(Some)
}

#[cfg(test)]
mod tests;

/// Fuzz target: hosts can be asked, are no more than they may be, and a header's value is in nothing that is told of the file.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    const SECRET: &str = "s3cret";
    let text = String::from_utf8_lossy(data);
    let is_value = text.matches(SECRET).count() == 1 && text.contains("\nx = \"s3cret\"");
    let is_told = |told: &str| is_value && told.contains(SECRET);
    let found = match parse::parse(Path::new("hosts.toml"), data) {
        Ok(found) => found,
        Err(error) => {
            let told = error.to_string();
            assert!(!is_told(&told), "{told}");
            return;
        }
    };
    assert!(!is_told(&format!("{found:?}")));
    let named = match &found.server {
        Server::Named(server) => Some(server),
        Server::Itself(_) => None,
    };
    assert!(found.hosts.len() <= 32 && found.warnings.len() <= 64);
    for host in found.hosts.iter().chain(named) {
        assert!(matches!(host.url.scheme(), "http" | "https") && host.url.host().is_some());
        assert!(host.root.starts_with('/') && host.root.ends_with('/'), "{}", host.root);
    }
}
