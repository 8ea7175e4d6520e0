//! Admission of requests: none of another site's page by way of somebody's browser and, over TCP in plain, none for the
//! routes that only Longshore has.
//!
//! A browser sends what a page tells it to, to any address that it reaches, also to this machine's own. It says which
//! page that was (`Origin`, `Sec-Fetch-Site`); programs say nothing of the kind. A site may give its own name the address
//! of this machine (DNS rebinding) and so look like the daemon's own page: over TCP a name counts only if it is known to be
//! the daemon's.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use http::{Method, StatusCode};

use crate::config::{DaemonConfig, ListenAddress};
use crate::errors::HttpError;

/// A browser's word for how the page and the daemon are related.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The way by which a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A unix socket, or a pipe in this process: the system knows who may.
    Local,
    /// TCP without encryption: everybody who reaches the port, and every page in a browser that does.
    PlainTcp,
    /// TCP with TLS.
    Tls,
}

/// A request, as far as it matters who sent it.
#[derive(Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) method: &'a Method,
    /// True for the routes that only Longshore has.
    pub(crate) own_route: bool,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) transport: Transport,
}

impl Sender<'_> {
    /// Refuses what nobody but a stranger would ask for in this way. `machine` is the name of the host.
    pub(crate) fn admit(&self, config: &DaemonConfig, machine: &str) -> Result<(), HttpError> {
        // A page cannot read what dockerd's routes tell: that would need a header which is never sent.
        let reads = matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if reads && !self.own_route {
            return Ok(());
        }
        let is_plain = self.transport == Transport::PlainTcp;
        if self.own_route && is_plain && !config.insecure_tcp_routes {
            return Err(forbidden(
                "Longshore's own routes are closed over TCP without TLS: use a unix socket, ssh:// or --tlsverify, or \
                 set insecure-tcp-routes for the daemon",
            ));
        }
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let known = self.transport == Transport::Local || is_known(host, config, machine);
        if self.own_route && is_plain && !known {
            return Err(forbidden(format!(
                "the daemon is not known as {host:?}: use its address, or a name that it was told to listen on"
            )));
        }
        let site = self.headers.get_all(FETCH_SITE).iter();
        if let Some(site) =
            site.into_iter().find(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
        {
            return Err(foreign(&String::from_utf8_lossy(site.as_bytes())));
        }
        for origin in self.headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            // Behind a socket there is no name to compare with, but the browser's own word for it, which it has from
            // what passes the page's requests on.
            let vouched =
                self.transport == Transport::Local && self.headers.contains_key(FETCH_SITE);
            let same =
                origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host));
            if !(vouched || same && known) {
                return Err(foreign(origin));
            }
        }
        Ok(())
    }
}

/// Says whether a `Host` header names the daemon for sure: by an address, as this machine, or by a name that the daemon was
/// given. Nobody can give a meaning of their own to a name without a dot, such as that of a service in a compose file.
fn is_known(host: &str, config: &DaemonConfig, machine: &str) -> bool {
    let name = bare(host);
    let listens = config.hosts.iter().filter_map(|host| match host {
        ListenAddress::Tcp(address) => Some(bare(address)),
        ListenAddress::Unix(_) | ListenAddress::Fd(_) => None,
    });
    name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || [machine].into_iter().chain(listens).any(|own| own.eq_ignore_ascii_case(name))
}

/// A host without port and brackets.
fn bare(authority: &str) -> &str {
    if let Some(address) = authority.strip_prefix('[') {
        return address.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn foreign(site: &str) -> HttpError {
    forbidden(format!("requests of other sites' pages are refused: this one is of {site:?}"))
}

fn forbidden(message: impl Into<String>) -> HttpError {
    HttpError::new(StatusCode::FORBIDDEN, message)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use http::HeaderValue;

    use super::*;
    use crate::config::{Defaults, Proxies};

    const CLOSED: &str = "own routes are closed";
    const FOREIGN: &str = "other sites";
    const UNKNOWN: &str = "not known as";

    fn config(open: bool) -> DaemonConfig {
        DaemonConfig {
            insecure_tcp_routes: open,
            ..DaemonConfig::new(Defaults {
                data_root: PathBuf::new(),
                hosts: vec!["tcp://build.example:2375".parse().unwrap()],
                certs_dirs: Vec::new(),
                tls_dir: PathBuf::new(),
                tls_verify: false,
                allow_schema1: false,
                proxies: Proxies::default(),
            })
        }
    }

    /// Says with which part of a sentence a request is refused; empty if it is not.
    fn judged(
        open: bool,
        method: &str,
        own_route: bool,
        transport: Transport,
        headers: &[(&str, &str)],
    ) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let visit =
            Sender { method: &method.parse().unwrap(), own_route, headers: &map, transport };
        match visit.admit(&config(open), "vm.corp.example") {
            Ok(()) => String::new(),
            Err(failure) => {
                assert_eq!(failure.status, StatusCode::FORBIDDEN);
                failure.message
            }
        }
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        use Transport::{Local, PlainTcp, Tls};
        let page = ("origin", "https://other.example");
        for transport in [Local, PlainTcp, Tls] {
            for (method, headers, expected) in [
                ("POST", &[("host", "127.0.0.1:2375")][..], ""),
                ("POST", &[("host", "127.0.0.1:2375"), page], FOREIGN),
                ("DELETE", &[("host", "127.0.0.1:2375"), page], FOREIGN),
                ("PUT", &[("host", "127.0.0.1:2375"), ("origin", "null")], FOREIGN),
                ("POST", &[("host", "127.0.0.1:2375"), ("origin", "")], FOREIGN),
                ("POST", &[("host", "h"), ("origin", "http://127.0.0.1:2375"), page], FOREIGN),
                (
                    "POST",
                    &[("host", "127.0.0.1:2375"), ("origin", "http://127.0.0.1:8080")],
                    FOREIGN,
                ),
                ("POST", &[("host", "127.0.0.1:2375"), ("origin", "http://127.0.0.1:2375")], ""),
                ("POST", &[("host", "h"), ("sec-fetch-site", "cross-site")], FOREIGN),
                ("POST", &[("host", "h"), ("sec-fetch-site", "same-site")], FOREIGN),
                ("POST", &[("host", "h"), ("sec-fetch-site", "none")], ""),
                ("GET", &[("host", "127.0.0.1:2375"), page], ""),
                ("OPTIONS", &[("host", "127.0.0.1:2375"), page], ""),
            ] {
                let said = judged(false, method, false, transport, headers);
                assert!(said.contains(expected), "{transport:?} {method} {headers:?}: {said}");
                assert_eq!(
                    said.is_empty(),
                    expected.is_empty(),
                    "{transport:?} {headers:?}: {said}"
                );
            }
        }
        // Of routes that are Longshore's own they do not read, either.
        assert!(judged(false, "GET", true, Local, &[("host", "x"), page]).contains(FOREIGN));
    }

    #[test]
    fn a_name_that_was_given_this_machines_address_is_not_the_daemons_own_page() {
        use Transport::{Local, PlainTcp};
        let rebound = [("host", "evil.example:2375"), ("origin", "http://evil.example:2375")];
        assert!(judged(false, "POST", false, PlainTcp, &rebound).contains(FOREIGN));
        for host in
            ["build.example:2375", "VM.corp.example", "docker:2375", "[::1]:2375", "localhost"]
        {
            let origin = format!("http://{host}");
            let own = [("host", host), ("origin", origin.as_str())];
            assert_eq!(judged(false, "POST", false, PlainTcp, &own), "", "{host}");
        }
        // A front that serves its own pages and passes their requests on to the socket.
        let page = ("origin", "http://ui.example:9000");
        let passed_on = [("host", "docker"), page, ("sec-fetch-site", "same-origin")];
        assert_eq!(judged(false, "POST", false, Local, &passed_on), "");
        assert!(judged(false, "POST", false, PlainTcp, &passed_on).contains(FOREIGN));
        assert!(judged(false, "POST", false, Local, &passed_on[..2]).contains(FOREIGN));
    }

    #[test]
    fn own_routes_are_closed_over_plain_tcp_unless_allowed() {
        use Transport::{Local, PlainTcp, Tls};
        for method in ["GET", "POST"] {
            for (open, transport, host, expected) in [
                (false, PlainTcp, "127.0.0.1:2375", CLOSED),
                (true, PlainTcp, "127.0.0.1:2375", ""),
                (true, PlainTcp, "build.example", ""),
                (true, PlainTcp, "evil.example", UNKNOWN),
                (true, PlainTcp, "127.0.0.1.evil.example", UNKNOWN),
                (false, Tls, "evil.example", ""),
                (false, Local, "evil.example", ""),
            ] {
                let said = judged(open, method, true, transport, &[("host", host)]);
                assert!(said.contains(expected), "{transport:?} {host}: {said}");
                assert_eq!(said.is_empty(), expected.is_empty(), "{transport:?} {host}: {said}");
            }
        }
        assert_eq!(judged(false, "POST", false, PlainTcp, &[("host", "evil.example")]), "");
    }
}
