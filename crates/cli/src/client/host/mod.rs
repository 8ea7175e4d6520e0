//! The addresses of daemons.

mod error;
mod ssh;

use std::fmt;
use std::path::PathBuf;

pub(crate) use error::HostError;
pub(crate) use ssh::SshHost;

/// The port of a daemon's plain TCP socket where none is written, as IANA registered it.
const DEFAULT_PORT: u16 = 2375;
/// The socket of `unix://` without a path.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// A daemon's address, as `-H` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// `unix:///run/docker.sock`
    Unix(PathBuf),
    /// `tcp://127.0.0.1:2375` or `http://127.0.0.1:2375/prefix`: plain HTTP.
    Tcp {
        /// Host and port.
        authority: String,
        /// The prefix of every path; empty, or with a leading and no trailing slash.
        base_path: String,
    },
    /// `ssh://me@host:22/run/docker.sock`: what `docker system dial-stdio` reaches there.
    Ssh(SshHost),
}

impl Host {
    /// Reads an address; without a scheme it is TCP's.
    pub(crate) fn parse(text: &str) -> Result<Host, HostError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.contains("://") => Err(HostError::Proto(rest.to_owned())),
            "unix" if rest.is_empty() => Ok(Host::Unix(PathBuf::from(DEFAULT_SOCKET))),
            "unix" => Ok(Host::Unix(PathBuf::from(rest))),
            "tcp" | "http" => Host::parse_tcp(rest, text),
            "ssh" => SshHost::parse(rest, text).map(Host::Ssh),
            "https" | "npipe" | "fd" => {
                let (scheme, text) = (scheme.to_owned(), text.to_owned());
                Err(HostError::Unsupported { scheme, text })
            }
            _ => Err(HostError::Format(text.to_owned())),
        }
    }

    /// Returns true if TLS makes sense for it.
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Host::Tcp { .. })
    }

    fn parse_tcp(rest: &str, text: &str) -> Result<Host, HostError> {
        let invalid = || HostError::Format(text.to_owned());
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let bracket = authority.rfind(']').unwrap_or(0);
        let (name, port) = match authority[bracket..].rfind(':') {
            Some(colon) => (&authority[..bracket + colon], &authority[bracket + colon + 1..]),
            None => (authority, ""),
        };
        let port =
            if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| invalid())? };
        let name = if name.is_empty() { "localhost" } else { name };
        if name.contains(['@', '?', '#', ' ']) || (name.contains(':') && !name.starts_with('[')) {
            return Err(invalid());
        }
        let base_path = path.trim_end_matches('/').to_owned();
        Ok(Host::Tcp { authority: format!("{name}:{port}"), base_path })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Host::Tcp { authority, base_path } => write!(formatter, "tcp://{authority}{base_path}"),
            Host::Ssh(host) => host.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("unix://", "unix:///var/run/docker.sock"),
            ("tcp://127.0.0.1:2376", "tcp://127.0.0.1:2376"),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:2375"),
            ("tcp://", "tcp://localhost:2375"),
            ("tcp://:99", "tcp://localhost:99"),
            ("example.org", "tcp://example.org:2375"),
            ("http://example.org/api/", "tcp://example.org:2375/api"),
            ("tcp://[::1]:5000", "tcp://[::1]:5000"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("ssh://me@host:22/run/d.sock", "ssh://me@host:22/run/d.sock"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["foo://x", "tcp://a:b:c", "tcp://x:70000", "unix://unix://x", "https://x", "tcp://u@x"]
        {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }
}
