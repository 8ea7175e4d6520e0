//! The proxies to registries.

/// Proxies, as the variables of the same names give them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<String>,
    /// For HTTPS.
    pub https: Option<String>,
    /// For both where they have none of their own.
    pub all: Option<String>,
    /// Hosts that are reached without a proxy.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for Proxies {
    /// Prints no password that a proxy's URL may hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.as_deref().map(mask_credentials))
            .field("https", &self.https.as_deref().map(mask_credentials))
            .field("all", &self.all.as_deref().map(mask_credentials))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// A proxy's URL without the user and password that it may hold.
pub(crate) fn mask_credentials(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}xxxxx:xxxxx{}", &rest[at..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_shown_to_nobody() {
        let table = [
            ("http://me:s3cret@proxy:3128/x@y", "http://xxxxx:xxxxx@proxy:3128/x@y"),
            ("me@proxy", "xxxxx:xxxxx@proxy"),
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://a@b:s3cret@proxy", "http://xxxxx:xxxxx@proxy"),
        ];
        for (url, expected) in table {
            assert_eq!(mask_credentials(url), expected);
        }
        let http = Some("http://me:s3cret@proxy:3128/".into());
        let debug = format!("{:?}", Proxies { http, ..Proxies::default() });
        assert!(debug.contains("proxy:3128") && !debug.contains("s3cret"), "{debug}");
    }
}
