//! Addresses to listen on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// Docker's port for plain HTTP. Like dockerd's it is the default with TLS, too, where a host is named.
const DEFAULT_PORT: u16 = 2375;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port, `HOST:PORT`.
    Tcp(String),
    /// Sockets that the service manager passed: one by its number or name, or all of them if empty or `*`.
    Fd(String),
}

/// Fault of a text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid bind address ({address}): {reason}")]
pub struct ListenAddressError {
    address: String,
    reason: String,
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    /// Reads `unix:///path`, `tcp://host:port`, `host:port` or `fd://`; host and port of TCP have defaults.
    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let refuse = |reason: &str| ListenAddressError {
            address: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (proto, address) = text.trim().split_once("://").unwrap_or(("tcp", text.trim()));
        match proto {
            "unix" if address.starts_with('/') => Ok(Self::Unix(address.into())),
            "unix" => Err(refuse("the path of a unix socket must be absolute")),
            "tcp" => {
                let address = address.strip_suffix('/').unwrap_or(address);
                if address.contains('/') {
                    return Err(refuse("should not contain a path element"));
                }
                let (host, port) = match address.rsplit_once(':') {
                    // The last colon of a bare IPv6 address in brackets does not begin a port.
                    Some((host, port)) if !port.ends_with(']') => (host, port),
                    _ => (address, ""),
                };
                let port = match port {
                    "" => DEFAULT_PORT,
                    port => port.parse().map_err(|_| refuse("invalid port"))?,
                };
                let known = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
                if !host.chars().all(known) {
                    return Err(refuse("invalid character in host name"));
                }
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                Ok(Self::Tcp(format!("{host}:{port}")))
            }
            "fd" => Ok(Self::Fd(address.to_owned())),
            other => Err(refuse(&format!("unsupported proto '{other}'"))),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Fd(which) => write!(f, "fd://{which}"),
        }
    }
}

/// Address of a daemon that was told of none: below `/run` for root, below the user's runtime directory
/// (`$XDG_RUNTIME_DIR`) for others. `None` when a user has no such directory.
pub fn default_address(root: bool, runtime_dir: Option<&Path>) -> Option<ListenAddress> {
    const NAME: &str = "longshore.sock";
    let directory = if root { Some(Path::new("/run")) } else { runtime_dir };
    directory.map(|directory| ListenAddress::Unix(directory.join(NAME)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_writes_them() {
        let tcp = |address: &str| Ok(ListenAddress::Tcp(address.to_owned()));
        let table = [
            ("unix:///run/l.sock", Ok(ListenAddress::Unix("/run/l.sock".into()))),
            ("tcp://127.0.0.1:2376", tcp("127.0.0.1:2376")),
            ("tcp://0.0.0.0", tcp("0.0.0.0:2375")),
            ("tcp://:1234", tcp("127.0.0.1:1234")),
            ("tcp://", tcp("127.0.0.1:2375")),
            ("tcp://[::1]:80/", tcp("[::1]:80")),
            ("tcp://[::1]", tcp("[::1]:2375")),
            ("localhost:80", tcp("localhost:80")),
            ("unix://relative", Err("the path of a unix socket must be absolute")),
            ("unix://", Err("the path of a unix socket must be absolute")),
            ("fd://", Ok(ListenAddress::Fd(String::new()))),
            ("fd://4", Ok(ListenAddress::Fd("4".to_owned()))),
            ("://", Err("unsupported proto ''")),
            ("tcp://a:b", Err("invalid port")),
            ("tcp://a:70000", Err("invalid port")),
            ("tcp://a:1/x", Err("should not contain a path element")),
            ("something with spaces", Err("invalid character in host name")),
        ];
        for (text, expected) in table {
            let expected =
                expected.map_err(|reason| format!("invalid bind address ({text}): {reason}"));
            assert_eq!(text.parse::<ListenAddress>().map_err(|error| error.to_string()), expected);
        }
        assert_eq!("unix:///a b".parse::<ListenAddress>().unwrap().to_string(), "unix:///a b");
    }

    #[test]
    fn the_default_is_below_the_runtime_directory() {
        let user = Some(Path::new("/run/user/7"));
        assert_eq!(
            default_address(true, user),
            Some(ListenAddress::Unix("/run/longshore.sock".into()))
        );
        assert_eq!(
            default_address(false, user),
            Some(ListenAddress::Unix("/run/user/7/longshore.sock".into()))
        );
        assert_eq!(default_address(false, None), None);
    }
}
