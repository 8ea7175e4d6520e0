//! URLs: where the links in answers lead, and host and port for a person.

use std::net::IpAddr;

use reqwest::Url;

/// Resolves a link. From TLS to plain text on the same host it leads to TLS: a server behind a proxy that ends TLS knows no
/// better. Nothing if it is none, or one that has a user or another scheme than HTTP's.
pub(crate) fn resolve(base: &Url, link: &str) -> Option<Url> {
    let mut next = base.join(link).ok()?;
    let named = !next.username().is_empty() || next.password().is_some();
    if named || !matches!(next.scheme(), "http" | "https") {
        return None;
    }
    let loses = base.scheme() == "https" && next.scheme() == "http" && next.host() == base.host();
    if loses && (next.port().is_none() || next.port() == base.port_or_known_default()) {
        next.set_scheme("https").ok()?;
        next.set_port(base.port()).ok()?;
    }
    Some(next)
}

/// Tells whether what is for one URL's host may be shown at another: the same origin, or the same host by TLS.
pub(crate) fn is_same_host(from: &Url, to: &Url) -> bool {
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    let upgraded = from.scheme() == "http" && to.scheme() == "https";
    from.origin() == to.origin()
        || upgraded
            && from.host() == to.host()
            && (ports.0 == ports.1 || ports == (Some(80), Some(443)))
}

/// Returns host and port of a URL for a person, with an address in place of the name if the host is one.
pub(crate) fn host_and_port(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host.to_owned(), url.port_or_known_default().unwrap_or_default())
}

/// Joins host and port as Go's `net.JoinHostPort` does.
pub(crate) fn join_host_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

/// Fuzz target: a link leads to a web server, without a user, and not from TLS to plain text at the same place.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(link) = std::str::from_utf8(data) else { return };
    for base in ["https://r.io/v2/a/", "http://r.io:5000/v2/"] {
        let Ok(base) = Url::parse(base) else { continue };
        let Some(target) = resolve(&base, link) else { continue };
        assert!(matches!(target.scheme(), "http" | "https") && target.username().is_empty());
        assert!(target.password().is_none() && target.host().is_some());
        let is_same = target.host() == base.host() && target.port() == base.port();
        assert!(!is_same || base.scheme() == "http" || target.scheme() == "https", "{target}");
        assert!(is_same_host(&target, &target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_not_left_on_the_same_host() {
        for (base, link, expected) in [
            ("https://r.io/v2/", "/x?a=b", Some("https://r.io/x?a=b")),
            ("https://r.io/v2/", "http://r.io/x?a=b", Some("https://r.io/x?a=b")),
            ("https://r.io/v2/", "http://r.io:80/x", Some("https://r.io/x")),
            ("https://r.io/v2/", "http://r.io:443/x", Some("https://r.io/x")),
            ("https://r.io:5000/v2/", "http://r.io:5000/x", Some("https://r.io:5000/x")),
            ("https://r.io:5000/v2/", "http://R.io/x", Some("https://r.io:5000/x")),
            ("https://r.io:5000/v2/", "http://r.io:8080/x", Some("http://r.io:8080/x")),
            ("https://r.io/v2/", "http://s.io/x", Some("http://s.io/x")),
            ("http://r.io/v2/", "https://r.io/x", Some("https://r.io/x")),
            ("https://r.io/v2/", "http://u:p@r.io/x", None),
            ("https://r.io/v2/", "file:///etc/passwd", None),
            ("https://r.io/v2/", "http://[", None),
        ] {
            let found = resolve(&Url::parse(base).unwrap(), link);
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{base} {link}");
        }
    }

    #[test]
    fn a_host_is_the_same_by_tls_but_not_by_another_port() {
        for (from, to, expected) in [
            ("http://r.io/a", "http://r.io/b", true),
            ("http://r.io/a", "https://r.io/b", true),
            ("http://r.io:5000/a", "https://r.io:5000/b", true),
            ("https://r.io/a", "http://r.io/b", false),
            ("http://r.io/a", "http://r.io:81/b", false),
            ("http://r.io/a", "https://r.io:8443/b", false),
            ("http://r.io/a", "http://s.io/b", false),
            ("http://r.io/a", "https://s.io/b", false),
        ] {
            let [from, to] = [from, to].map(|url| Url::parse(url).unwrap());
            assert_eq!(is_same_host(&from, &to), expected, "{from} {to}");
        }
    }
}
