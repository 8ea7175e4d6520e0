//! The proxy of a request, by the rules of Go's `http.ProxyFromEnvironment`.
//!
//! `hyper-util` has a matcher, but curl's rules: no ports in `no_proxy`, `.example.com` means `example.com`, too, `*.example.com` is
//! unknown, and the proxy is asked for this machine. A test has the table of both.

use std::{fmt, net::IpAddr};

use reqwest::Url;

use crate::{
    SettingsError, error::redact::shown, hosts::insecure::Network, http::links::host_and_port,
};

/// The proxy settings, in the form of the environment's variables.
#[derive(Clone, Default)]
pub struct ProxyConfig {
    /// Proxy for `http` URLs (`HTTP_PROXY`): a URL, or `host:port`.
    pub http: Option<String>,
    /// Proxy for `https` URLs (`HTTPS_PROXY`).
    pub https: Option<String>,
    /// Proxy for both where they have none of their own (`ALL_PROXY`), which curl reads and Go does not.
    pub all: Option<String>,
    /// Hosts without a proxy (`NO_PROXY`): names, with their subdomains, addresses and networks, with commas in
    /// between; `*` is every host.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The addresses may have passwords.
        f.debug_struct("ProxyConfig")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("all", &self.all.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// The outcome of the settings for the URLs of one scheme.
#[derive(Debug)]
pub struct SchemeProxy {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The proxy's URL, without its user, if there is one.
    pub proxy: Result<Option<String>, SettingsError>,
}

impl ProxyConfig {
    /// Returns which proxy is asked for which URLs.
    pub fn by_scheme(&self) -> [SchemeProxy; 2] {
        [("http", &self.http), ("https", &self.https)].map(|(scheme, own)| SchemeProxy {
            scheme,
            proxy: self.parsed(own.as_ref()).map(|url| url.as_ref().map(shown)),
        })
    }

    /// Returns the proxy for a scheme that has `own`: where that is not given, the one for all.
    fn parsed(&self, own: Option<&String>) -> Result<Option<Url>, SettingsError> {
        let mut given = [own, self.all.as_ref()].into_iter().flatten();
        parse_proxy(given.find(|address| !address.trim().is_empty()).cloned())
    }
}

/// The proxy settings, parsed.
#[derive(Clone)]
pub(crate) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.as_ref().map(shown))
            .field("https", &self.https.as_ref().map(shown))
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Exception {
    All,
    Network(Network),
    Address(IpAddr, Option<u16>),
    /// A domain: `.example.com`, and whether `example.com` itself is meant too.
    Domain {
        suffix: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    pub(crate) fn new(config: &ProxyConfig) -> Result<Self, SettingsError> {
        let list = config.no_proxy.as_deref().unwrap_or_default();
        Ok(Self {
            http: config.parsed(config.http.as_ref())?,
            https: config.parsed(config.https.as_ref())?,
            exceptions: list.split(',').filter_map(Exception::parse).collect(),
        })
    }

    /// Says whether a name is that of a proxy.
    pub(crate) fn is_host(&self, name: &str) -> bool {
        let proxies = [&self.http, &self.https].into_iter().flatten();
        proxies.filter_map(Url::host_str).any(|host| host.eq_ignore_ascii_case(name))
    }

    /// Returns the proxy for a URL, or nothing if the request goes straight to its host.
    pub(crate) fn proxy(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let (host, port) = host_and_port(url);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return None;
        }
        let excepted = self.exceptions.iter().any(|entry| entry.covers(&host, address, port));
        (!excepted).then_some(proxy)
    }
}

fn parse_proxy(address: Option<String>) -> Result<Option<Url>, SettingsError> {
    let Some(address) = address else { return Ok(None) };
    let address = address.trim();
    // Go sends the host's name to either; the library looks it up itself for the first.
    let absolute = match address.split_once("://") {
        Some(("socks5", rest)) => format!("socks5h://{rest}"),
        Some(_) => address.to_owned(),
        None => format!("http://{address}"),
    };
    let bad = |address: String, reason: &str| {
        Err(SettingsError::Proxy { address, reason: reason.to_owned() })
    };
    match Url::parse(&absolute) {
        Ok(url) if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") => {
            bad(shown(&url), "must be http, https or socks5")
        }
        Ok(url) if !url.has_host() => bad(shown(&url), "no host"),
        Ok(url) => Ok(Some(url)),
        // Not shown: nobody knows where the password is in it.
        Err(error) => bad(String::from("***"), &error.to_string()),
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry.is_empty() {
            return None;
        }
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some(network) = Network::parse(&entry) {
            return Some(Self::Network(network));
        }
        let (host, port) = split_port(&entry);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        match host.strip_prefix('.') {
            Some("") => None,
            Some(_) => Some(Self::Domain { suffix: host.to_owned(), itself: false, port }),
            None if host.is_empty() => None,
            None => Some(Self::Domain { suffix: format!(".{host}"), itself: true, port }),
        }
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let fits = |wanted: Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(address)),
            Self::Address(wanted, wanted_port) => address == Some(*wanted) && fits(*wanted_port),
            Self::Domain { suffix, itself, port: wanted_port } => {
                fits(*wanted_port) && (host.ends_with(suffix) || *itself && host == &suffix[1..])
            }
        }
    }
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::proxy::matcher::Matcher;

    use super::*;

    #[test]
    fn goes_by_scheme_and_exceptions_as_go_does() {
        let config = ProxyConfig {
            http: Some("proxy.corp:3128".into()),
            https: Some("https://ann:pw@secure.corp".into()),
            all: None,
            no_proxy: Some(
                "example.com, .dot.com,*.star.com,10.0.0.0/8,192.0.2.7,port.com:5000, ,[fd00::1]:443"
                    .into(),
            ),
        };
        let proxies = Proxies::new(&config).unwrap();
        for (url, expected) in [
            ("http://registry.io/", Some("proxy.corp")),
            ("https://registry.io/", Some("secure.corp")),
            ("https://localhost:5000/", None),
            ("http://127.0.0.1:5000/", None),
            ("http://127.3.4.5/", None),
            ("http://[::1]:5000/", None),
            ("https://example.com/", None),
            ("https://sub.example.com/", None),
            ("https://notexample.com/", Some("secure.corp")),
            ("https://dot.com/", Some("secure.corp")),
            ("https://a.dot.com/", None),
            ("https://a.star.com/", None),
            ("https://10.1.2.3/", None),
            ("https://11.1.2.3/", Some("secure.corp")),
            ("https://192.0.2.7:5000/", None),
            ("https://192.0.2.8/", Some("secure.corp")),
            ("https://port.com:5000/", None),
            ("https://port.com/", Some("secure.corp")),
            ("https://[fd00::1]/", None),
            ("https://[fd00::1]:5000/", Some("secure.corp")),
        ] {
            let proxy = proxies.proxy(&Url::parse(url).unwrap()).and_then(Url::host_str);
            assert_eq!(proxy, expected, "{url}");
        }
        assert!(!format!("{proxies:?} {config:?}").contains("pw"));
    }

    /// Once both agree, this module can go.
    #[test]
    fn the_librarys_matcher_has_other_rules_than_go() {
        let proxy = || Some("http://proxy.corp".to_owned());
        for (no_proxy, url, [go, library]) in [
            ("*", "https://registry.io/", [true, true]),
            ("example.com", "https://sub.example.com/", [true, true]),
            ("example.com", "https://notexample.com/", [false, false]),
            ("10.0.0.0/8", "https://10.1.2.3/", [true, true]),
            (".dot.com", "https://dot.com/", [false, true]),
            ("*.star.com", "https://a.star.com/", [true, false]),
            ("port.com:5000", "https://port.com:5000/", [true, false]),
            ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/", [true, false]),
            ("", "http://127.3.4.5/", [true, false]),
            ("", "https://localhost:5000/", [true, false]),
        ] {
            let [http, https, no] = [proxy(), proxy(), Some(no_proxy.to_owned())];
            let ours = ProxyConfig { http, https, all: None, no_proxy: no };
            let ours = Proxies::new(&ours).unwrap();
            let matcher = Matcher::builder().all("http://proxy.corp").no(no_proxy).build();
            let straight = [
                ours.proxy(&Url::parse(url).unwrap()).is_none(),
                matcher.intercept(&url.parse().unwrap()).is_none(),
            ];
            assert_eq!(straight, [go, library], "{no_proxy} {url}");
        }
    }

    #[test]
    fn a_star_is_everything_and_nothing_is_nothing() {
        let proxies = |no_proxy: &str| {
            let http = Some("http://proxy".into());
            let no_proxy = Some(no_proxy.into());
            let config = ProxyConfig { http, no_proxy, ..ProxyConfig::default() };
            Proxies::new(&config).unwrap()
        };
        let url = Url::parse("http://registry.io").unwrap();
        assert_eq!(proxies("*").proxy(&url), None);
        assert!(proxies("").proxy(&url).is_some());
        assert!(proxies(".").proxy(&url).is_some());
        assert_eq!(proxies("").proxy(&Url::parse("https://registry.io").unwrap()), None);
    }

    #[test]
    fn one_proxy_for_all_stands_in_for_those_that_are_missing() {
        let all = || Some("socks5://ann:pw@all.corp".into());
        let http = Some("http://http.corp".into());
        for (config, expected) in [
            (
                ProxyConfig { all: all(), ..ProxyConfig::default() },
                ["socks5h://all.corp", "socks5h://all.corp"],
            ),
            (
                ProxyConfig { all: all(), http, ..ProxyConfig::default() },
                ["http://http.corp/", "socks5h://all.corp"],
            ),
            (
                ProxyConfig { all: all(), https: Some(" ".into()), ..ProxyConfig::default() },
                ["socks5h://all.corp", "socks5h://all.corp"],
            ),
        ] {
            let proxies = Proxies::new(&config).unwrap();
            let used = ["http", "https"].map(|scheme| {
                let url = Url::parse(&format!("{scheme}://registry.io")).unwrap();
                shown(proxies.proxy(&url).unwrap())
            });
            assert_eq!(used, expected);
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_their_password() {
        for address in ["ftp://ann:s3cret@x", "http://ann:s3cret@", "http://ann:s3cret@[x"] {
            let config = ProxyConfig { http: Some(address.into()), ..ProxyConfig::default() };
            let error = Proxies::new(&config).unwrap_err().to_string();
            assert!(error.starts_with("invalid proxy address"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
