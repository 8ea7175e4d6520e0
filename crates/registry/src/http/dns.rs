//! Names to addresses, through the system's resolver, with errors that say what was asked of whom.

use std::{fmt, io, net::SocketAddr, path::Path, time::Duration};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::http::links::{host_and_port, join_host_port};

/// The time for a lookup that only words an error or decides what is insecure.
const SIDE_LOOKUP: Duration = Duration::from_secs(5);
/// The time for a connection that only words an error.
const SIDE_CONNECT: Duration = Duration::from_secs(1);
/// The system's list of name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The most that is read of it.
const MAX_RESOLV_CONF: usize = 64 << 10;

/// A name without an address: `lookup example.invalid on 192.0.2.53:53: no such host`.
#[derive(Clone, Debug)]
pub struct LookupFailed {
    /// The name.
    pub host: String,
    /// The system's first name server, if it has one.
    pub server: Option<String>,
    /// `no such host`, `server misbehaving`.
    pub reason: String,
}

impl std::error::Error for LookupFailed {}

impl fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.host)?;
        if let Some(server) = &self.server {
            write!(f, " on {server}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The system's resolver, for the HTTP library.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = lookup(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Returns the addresses of a host, at least one.
pub(crate) async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupFailed> {
    let reason = match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            if !addresses.is_empty() {
                return Ok(addresses);
            }
            "no such host".to_owned()
        }
        Err(error) => words(&error),
    };
    let server = tokio::task::spawn_blocking(|| name_server(Path::new(RESOLV_CONF))).await;
    Err(LookupFailed { host: host.to_owned(), server: server.ok().flatten(), reason })
}

/// Returns the addresses of a host, or none, for decisions that do without.
pub(crate) async fn addresses(host: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(SIDE_LOOKUP, lookup(host, 0)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Tells whether a URL's host takes connections. It is for the words of an error only.
pub(crate) async fn takes_connections(url: &Url) -> bool {
    let (host, port) = host_and_port(url);
    let connected =
        tokio::time::timeout(SIDE_CONNECT, tokio::net::TcpStream::connect((host, port)));
    matches!(connected.await, Ok(Ok(_)))
}

/// Returns what was dialled for a URL, as Go names it: the first address and the port.
pub(crate) async fn dialled(url: &Url) -> String {
    let (host, port) = host_and_port(url);
    match addresses(&host).await.first() {
        Some(address) => SocketAddr::new(address.ip(), port).to_string(),
        None => join_host_port(&host, port),
    }
}

/// Returns Go's words. The standard library gives the resolver's answer as text only; nothing is decided by it.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let temporary = ["Temporary failure", "Try again"].iter().any(|part| text.contains(part));
    if error.raw_os_error().is_some() {
        text
    } else if temporary {
        "server misbehaving".to_owned()
    } else {
        "no such host".to_owned()
    }
}

/// Returns the first name server of the system, or Go's default if there is no list.
fn name_server(list: &Path) -> Option<String> {
    let text = match std::fs::read(list) {
        Ok(mut bytes) => {
            bytes.truncate(MAX_RESOLV_CONF);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(_) => String::new(),
    };
    let server = text.lines().find_map(|line| line.trim().strip_prefix("nameserver"));
    let server = server.map_or("127.0.0.1", str::trim);
    let address = server.split(['%', ' ', '\t', '#']).next().unwrap_or_default();
    Some(SocketAddr::new(address.parse().ok()?, 53).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_server_or_does_without() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        assert_eq!(name_server(&path).as_deref(), Some("127.0.0.1:53"), "no file");
        for (text, expected) in [
            ("search x\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n", Some("192.0.2.1:53")),
            ("nameserver fe80::1%eth0", Some("[fe80::1]:53")),
            ("nameserver\t::1 # comment", Some("[::1]:53")),
            ("", Some("127.0.0.1:53")),
            ("nameserver nonsense", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(name_server(&path).as_deref(), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_lookup() {
        for (url, expected) in
            [("http://127.0.0.1:5999/v2/", "127.0.0.1:5999"), ("https://[::1]/", "[::1]:443")]
        {
            assert_eq!(dialled(&Url::parse(url).unwrap()).await, expected);
        }
    }

    #[test]
    fn speaks_as_go_does() {
        let mut failed = LookupFailed {
            host: "BAD".to_owned(),
            server: Some("192.0.2.53:53".to_owned()),
            reason: "no such host".to_owned(),
        };
        assert_eq!(failed.to_string(), "lookup BAD on 192.0.2.53:53: no such host");
        failed.server = None;
        assert_eq!(failed.to_string(), "lookup BAD: no such host");
    }
}
