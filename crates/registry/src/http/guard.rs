//! The guard of addresses that strangers choose: nothing but what is public, or allowed by the user, is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::{
    LookupFailed,
    error::fault::RequestFault,
    hosts::insecure::Insecure,
    http::{dns, links::host_and_port, proxy::Proxies},
};

/// Judges the addresses that URLs of layers lead to.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    allowed: Insecure,
    proxies: Proxies,
}

const NOT_PUBLIC: &str =
    "is no public address, and allow-nondistributable-artifacts does not name it";

impl Guard {
    pub(crate) fn new(allowed: &Insecure, proxies: &Proxies) -> Self {
        Self { allowed: allowed.clone(), proxies: proxies.clone() }
    }

    fn allows(&self, host: &str, address: IpAddr) -> bool {
        is_public(address) || self.allowed.names(host) || self.allowed.contains(address)
    }

    /// Judges a URL as far as it can be before anybody is connected to: an address in it, and what a proxy will be asked for.
    pub(crate) async fn check(&self, url: &Url) -> Result<(), RequestFault> {
        let (host, _) = host_and_port(url);
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) if self.proxies.proxy(url).is_some() => {
                dns::addresses(&host).await.iter().map(std::net::SocketAddr::ip).collect()
            }
            // Asked without a proxy, though it is the host of one: the resolver, which cannot know for whom it looks up, lets it
            // through, so that one without an address now is not asked at all.
            Err(_) if self.proxies.is_host(&host) => {
                let found = dns::lookup(&host, 0).await;
                let found =
                    found.map_err(|lookup| RequestFault::Lookup { proxied: false, lookup })?;
                found.iter().map(std::net::SocketAddr::ip).collect()
            }
            // The resolver judges what is connected to.
            Err(_) => Vec::new(),
        };
        match addresses.into_iter().find(|address| !self.allows(&host, *address)) {
            None => Ok(()),
            Some(address) => Err(RequestFault::PrivateAddress { address, why: NOT_PUBLIC }),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = dns::lookup(host, 0).await?;
            if guard.proxies.is_host(host) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let first = found.first().map(std::net::SocketAddr::ip);
            let allowed: Vec<_> =
                found.into_iter().filter(|found| guard.allows(host, found.ip())).collect();
            match first.filter(|_| allowed.is_empty()) {
                None => Ok(Box::new(allowed.into_iter()) as Addrs),
                Some(first) => {
                    let reason = format!("{first} {NOT_PUBLIC}");
                    let refused = LookupFailed { host: host.to_owned(), server: None, reason };
                    Err(refused.into())
                }
            }
        })
    }
}

/// Says whether an address is one of the internet: not of this machine, its networks, or a purpose of its own.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Translated to, or tunnelled to, an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => within(high, low),
        // Documentation, Teredo and other assignments for a purpose.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // All that is global is in here.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_all_others() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("172.15.0.1", true),
            ("172.32.0.1", true),
            ("192.0.1.1", true),
            ("223.255.255.255", true),
            ("2606:4700::1111", true),
            ("2001:4860:4860::8888", true),
            ("64:ff9b::808:808", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("::7f00:1", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("fc00::1", false),
            ("fd12::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[tokio::test]
    async fn urls_are_judged_in_every_spelling_of_an_address() {
        let allowed =
            ["10.0.0.0/8".to_owned(), "intra.corp:8080".to_owned(), "[fd00::1]:80".to_owned()];
        let allowed = Insecure::of_artifacts(&allowed).unwrap();
        let guard = Guard::new(&allowed, &Proxies::new(&crate::ProxyConfig::default()).unwrap());
        for (url, fine) in [
            ("https://8.8.8.8/x", true),
            ("http://10.9.8.7/x", true),
            ("http://[fd00::1]:80/x", true),
            ("http://127.0.0.1/x", false),
            ("http://127.1/x", false),
            ("http://2130706433/x", false),
            ("http://0x7f.0.0.1/x", false),
            ("http://[::ffff:169.254.169.254]/x", false),
            ("http://[::1]:80/x", false),
        ] {
            let judged = guard.check(&Url::parse(url).unwrap()).await;
            assert_eq!(judged.is_ok(), fine, "{url}");
        }
        assert!(guard.allows("intra.corp", "192.168.0.1".parse().unwrap()));
        assert!(!guard.allows("other.corp", "192.168.0.1".parse().unwrap()));
    }
}
