//! The settings of the front end, and their checks.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::Url;

use crate::{
    CredentialSource, Metrics, RegistryError, SettingsError, Waits,
    hosts::insecure::Insecure,
    http::proxy::{Proxies, ProxyConfig},
};

/// Docker Hub's registry; the name `docker.io` stands for it.
const HUB: &str = "https://registry-1.docker.io";

/// Settings of a [`crate::Client`]. `Default` is what dockerd does without a configuration, except for the certificate
/// directories, which only the front end knows.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Mirrors of Docker Hub, asked before it (`registry-mirrors`): URLs.
    pub mirrors: Vec<String>,
    /// Registries that may speak plain HTTP or have any certificate (`insecure-registries`): `host[:port]` or CIDR.
    /// `127.0.0.0/8` and `::1` always are.
    pub insecure: Vec<String>,
    /// Registries that layers may be pushed to although they are not to be redistributed, and places that such layers may be
    /// fetched from although their addresses are not public (`allow-nondistributable-artifacts`): `host[:port]` or CIDR.
    pub nondistributable: Vec<String>,
    /// Directories with one directory for each registry, like `/etc/docker/certs.d`: certificates, and `hosts.toml`.
    pub certs_dirs: Vec<PathBuf>,
    /// Set if manifests of schema 1 may be read and made (`allow-schema1`).
    pub first_schema: bool,
    /// The source of credentials that no caller gives, as those for mirrors. Without it such hosts are asked anonymously.
    pub credentials: Option<Arc<dyn CredentialSource>>,
    /// The `User-Agent` of all requests.
    pub user_agent: String,
    /// The proxies. The environment is not read here.
    pub proxy: ProxyConfig,
    /// The time with less than 1 KiB after which a body counts as stalled.
    pub stall_timeout: Duration,
    /// The time to connect, TLS included.
    pub connect_timeout: Duration,
    /// The time for a registry to answer.
    pub response_timeout: Duration,
    /// The first pause before a small blob is asked for again; the next ones are twice as long each.
    pub retry_delay: Duration,
    /// The URL of the registry that `docker.io` stands for, in place of Docker Hub's own. For tests and for
    /// appliances without a way to the internet.
    pub hub_endpoint: Option<String>,
    /// The counters of bytes, requests and failures.
    pub metrics: Metrics,
    /// The hosts that asked for a wait.
    pub waits: Waits,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            nondistributable: Vec::new(),
            certs_dirs: Vec::new(),
            first_schema: false,
            credentials: None,
            user_agent: concat!("longshore/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: ProxyConfig::default(),
            stall_timeout: Duration::from_secs(30),
            // Docker's for TLS alone. It lets TCP take as long as 30 s, but its first question 15 s in all.
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_mins(1),
            // Four pauses take as long as dockerd's for a config.
            retry_delay: Duration::from_millis(250),
            hub_endpoint: None,
            metrics: Metrics::default(),
            waits: Waits::default(),
        }
    }
}

impl RegistryConfig {
    /// Checks all settings, with dockerd's messages.
    pub fn validate(&self) -> Result<(), RegistryError> {
        Ok(Rules::new(self).map(drop)?)
    }
}

/// The settings that decide whom to ask, parsed.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) mirrors: Vec<Url>,
    pub(crate) hub: Url,
    pub(crate) insecure: Insecure,
    /// The registries and servers of layers that are not to be redistributed.
    pub(crate) artifacts: Insecure,
    /// The insecure hosts beside a `hosts.toml`: this machine.
    pub(crate) local: Insecure,
    pub(crate) proxies: Proxies,
}

impl Rules {
    pub(crate) fn new(config: &RegistryConfig) -> Result<Self, SettingsError> {
        let mut mirrors = Vec::new();
        for mirror in &config.mirrors {
            let url = parse_mirror(mirror)?;
            if !mirrors.contains(&url) {
                mirrors.push(url);
            }
        }
        let hub = config.hub_endpoint.as_deref().unwrap_or(HUB);
        Ok(Self {
            mirrors,
            hub: parse_mirror(hub)?,
            insecure: Insecure::new(&config.insecure)?,
            artifacts: Insecure::of_artifacts(&config.nondistributable)?,
            local: Insecure::new(&[])?,
            proxies: Proxies::new(&config.proxy)?,
        })
    }
}

/// Parses a mirror; its path ends with a slash afterwards.
fn parse_mirror(mirror: &str) -> Result<Url, SettingsError> {
    let mirror = mirror.to_owned();
    // First, as `host:port` would parse as a scheme and a path.
    if mirror.split_once("://").is_none_or(|(scheme, _)| scheme.is_empty()) {
        return Err(SettingsError::MirrorWithoutScheme { mirror });
    }
    let mut url = match Url::parse(&mirror) {
        Ok(url) => url,
        Err(error) => {
            return Err(SettingsError::MirrorSyntax { mirror, reason: error.to_string() });
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SettingsError::MirrorScheme { scheme: url.scheme().to_owned(), mirror });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(SettingsError::MirrorQuery { mirror });
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Cannot fail: the URL has a host.
        let _ = url.set_password(Some("xxxxx"));
        return Err(SettingsError::MirrorUser { mirror: url.to_string() });
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_checked_with_dockerds_messages() {
        for (mirror, expected) in [
            ("https://mirror.corp", "https://mirror.corp/"),
            ("http://mirror.corp:5000/hub", "http://mirror.corp:5000/hub/"),
            ("https://[::1]:5000/", "https://[::1]:5000/"),
            (
                "mirror.corp:5000",
                r#"invalid mirror: no scheme specified for "mirror.corp:5000": must use either 'https://' or 'http://'"#,
            ),
            (
                "://x",
                r#"invalid mirror: no scheme specified for "://x": must use either 'https://' or 'http://'"#,
            ),
            (
                "ftp://mirror",
                r#"invalid mirror: unsupported scheme "ftp" in "ftp://mirror": must use either 'https://' or 'http://'"#,
            ),
            (
                "https://mirror?x=1",
                r#"invalid mirror: query or fragment at end of the URI "https://mirror?x=1""#,
            ),
            (
                "https://mirror#x",
                r#"invalid mirror: query or fragment at end of the URI "https://mirror#x""#,
            ),
            (
                "https://ann:s3cret@mirror",
                r#"invalid mirror: username/password not allowed in URI "https://ann:xxxxx@mirror/""#,
            ),
            ("https://", r#"invalid mirror: "https://" is not a valid URI: empty host"#),
        ] {
            let shown =
                parse_mirror(mirror).map_or_else(|error| error.to_string(), |url| url.to_string());
            assert_eq!(shown, expected, "{mirror}");
        }
    }

    #[test]
    fn a_bad_setting_is_named() {
        let with = |change: fn(&mut RegistryConfig)| {
            let mut config = RegistryConfig::default();
            change(&mut config);
            config.validate().map_or_else(|error| error.to_string(), |()| "good".to_owned())
        };
        assert_eq!(with(|_| ()), "good");
        assert!(with(|config| config.mirrors.push("x".into())).starts_with("invalid mirror"));
        assert!(with(|config| config.insecure.push("-x".into())).contains("hyphen"));
        assert_eq!(
            with(|config| config.nondistributable.push("https://x".into())),
            "allow-nondistributable-artifacts registry https://x should not contain '://'"
        );
        assert_eq!(
            with(|config| config.nondistributable.push("-x".into())),
            "allow-nondistributable-artifacts registry -x is not valid: invalid host \"-x\""
        );
        assert!(with(|config| config.hub_endpoint = Some("x".into())).contains("no scheme"));
        assert!(with(|config| config.proxy.http = Some("ftp://x".into())).contains("proxy"));
    }

    #[test]
    fn mirrors_are_asked_once() {
        let config = RegistryConfig {
            mirrors: vec!["https://a".into(), "https://b/".into(), "https://a/".into()],
            ..RegistryConfig::default()
        };
        assert_eq!(Rules::new(&config).unwrap().mirrors.len(), 2);
    }
}
