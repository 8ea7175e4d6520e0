//! Lists of hosts and networks, as of registries that may speak plain HTTP or show any certificate.

use std::net::IpAddr;

use crate::SettingsError;

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Parses `192.0.2.0/24`; bits beyond the prefix may be set and are ignored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        // Not "+8", which the standard library's parser takes.
        if !bits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let bits: u8 = bits.parse().ok()?;
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or_default() == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or_default() == 0
            }
            _ => false,
        }
    }
}

/// The registries configured as insecure, and the loopback networks; or those of another list of this form.
#[derive(Clone, Debug)]
pub(crate) struct Insecure {
    hosts: Vec<String>,
    networks: Vec<Network>,
}

impl Insecure {
    pub(crate) fn new(entries: &[String]) -> Result<Self, SettingsError> {
        let loopback = ["127.0.0.0/8", "::1/128"].into_iter().filter_map(Network::parse);
        let mut insecure = Self { hosts: Vec::new(), networks: loopback.collect() };
        for entry in entries {
            insecure.add(entry)?;
        }
        Ok(insecure)
    }

    /// Reads `allow-nondistributable-artifacts`, with dockerd's messages. No address goes without saying.
    pub(crate) fn of_artifacts(entries: &[String]) -> Result<Self, SettingsError> {
        let mut named = Self { hosts: Vec::new(), networks: Vec::new() };
        for entry in entries {
            if entry.contains("://") {
                return Err(SettingsError::ArtifactsScheme { name: entry.clone() });
            }
            if let Some(network) = Network::parse(entry) {
                named.networks.push(network);
                continue;
            }
            check_host(entry, entry).map_err(|error| {
                let (part, text) = match error {
                    SettingsError::InsecurePort { port, .. } => ("port", port),
                    _ => ("host", split_host_port(entry).0.to_owned()),
                };
                SettingsError::ArtifactsInvalid { name: entry.clone(), part, text }
            })?;
            named.hosts.push(entry.clone());
        }
        Ok(named)
    }

    /// Says whether an address is in one of the networks, or listed by itself.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let listed = |host: &String| {
            split_host_port(host).0.parse::<IpAddr>().is_ok_and(|host| host == address)
        };
        self.networks.iter().any(|network| network.contains(address))
            || self.hosts.iter().any(listed)
    }

    /// Says whether a host is listed by its name, with whatever port.
    pub(crate) fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|listed| split_host_port(listed).0.eq_ignore_ascii_case(host))
    }

    fn add(&mut self, entry: &str) -> Result<(), SettingsError> {
        let name = entry.to_owned();
        if entry.starts_with('-') || entry.ends_with('-') {
            return Err(SettingsError::InsecureHyphen { name });
        }
        let host = match entry.split_once("://") {
            Some((scheme, host)) if is_http(scheme) => {
                tracing::warn!(entry, "insecure registry should not contain a scheme: removed");
                host
            }
            Some(_) => return Err(SettingsError::InsecureScheme { name }),
            None => entry,
        };
        if let Some(network) = Network::parse(host) {
            self.networks.push(network);
            return Ok(());
        }
        check_host(&name, host)?;
        self.hosts.push(host.to_owned());
        Ok(())
    }

    /// Tells whether a registry (`host[:port]`) is insecure. A name is looked up, as dockerd does; one that cannot be
    /// looked up is secure.
    pub(crate) async fn covers(&self, registry: &str) -> bool {
        if self.hosts.iter().any(|host| host == registry) {
            return true;
        }
        let (host, _) = split_host_port(registry);
        let matches = |address| self.networks.iter().any(|network| network.contains(address));
        match host.parse::<IpAddr>() {
            Ok(address) => matches(address),
            Err(_) => {
                crate::http::dns::addresses(host).await.iter().any(|address| matches(address.ip()))
            }
        }
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Splits `host:port` and takes the brackets off an IPv6 address.
fn split_host_port(registry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match registry.split_once(':') {
        // A bare IPv6 address has no port.
        Some((_, port)) if port.contains(':') => (registry, None),
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    }
}

fn check_host(name: &str, entry: &str) -> Result<(), SettingsError> {
    let (host, port) = split_host_port(entry);
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.parse::<IpAddr>().is_err() && !host.split('.').all(label) {
        return Err(SettingsError::InsecureHost { name: name.to_owned(), host: host.to_owned() });
    }
    match port {
        Some(port) if port.starts_with('+') || port.parse::<u16>().is_err() => {
            Err(SettingsError::InsecurePort { name: name.to_owned(), port: port.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_checked_with_dockerds_messages() {
        for (entry, expected) in [
            ("registry.corp", "good"),
            ("registry.corp:5000", "good"),
            ("10.0.0.0/8", "good"),
            ("10.1.2.3:5000", "good"),
            ("fd00::/8", "good"),
            ("[fd00::1]:5000", "good"),
            ("fd00::1", "good"),
            ("http://registry.corp", "good"),
            ("HTTPS://registry.corp:5000", "good"),
            ("-corp", "invalid index name (-corp). Cannot begin or end with a hyphen"),
            ("corp-", "invalid index name (corp-). Cannot begin or end with a hyphen"),
            ("ftp://corp", "insecure registry ftp://corp should not contain '://'"),
            ("corp/path", r#"insecure registry corp/path is not valid: invalid host "corp/path""#),
            (
                "10.0.0.0/33",
                r#"insecure registry 10.0.0.0/33 is not valid: invalid host "10.0.0.0/33""#,
            ),
            ("", r#"insecure registry  is not valid: invalid host """#),
            ("a..b", r#"insecure registry a..b is not valid: invalid host "a..b""#),
            ("corp:70000", r#"insecure registry corp:70000 is not valid: invalid port "70000""#),
            ("corp:x", r#"insecure registry corp:x is not valid: invalid port "x""#),
        ] {
            let shown = Insecure::new(&[entry.to_owned()])
                .map_or_else(|error| error.to_string(), |_| "good".to_owned());
            assert_eq!(shown, expected, "{entry}");
        }
    }

    #[tokio::test]
    async fn covers_what_is_configured_and_loopback() {
        let entries = ["registry.corp:5000", "10.0.0.0/8", "fd00::/8", "https://other.corp"];
        let insecure = Insecure::new(&entries.map(ToOwned::to_owned)).unwrap();
        for (registry, expected) in [
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("registry.corp:5000", true),
            ("other.corp", true),
            ("10.200.0.1:443", true),
            ("[fd12::1]:443", true),
            ("11.0.0.1", false),
            ("[fe80::1]", false),
            ("128.0.0.1", false),
        ] {
            assert_eq!(insecure.covers(registry).await, expected, "{registry}");
        }
    }

    #[test]
    fn networks_are_exact() {
        for (network, address, expected) in [
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("10.1.2.3/16", "10.1.9.9", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.2", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("::/0", "fe80::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                expected,
                "{network:?} {address}"
            );
        }
        for bad in ["10.0.0.0", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
