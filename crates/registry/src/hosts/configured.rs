//! The hosts of a registry in order, from `hosts.toml`, `registry-mirrors` and `insecure-registries`.
//!
//! # Which setting counts
//!
//! As in dockerd 29: a `hosts.toml` with `host` tables is the whole truth for its registry, and neither
//! `registry-mirrors` nor `insecure-registries` add to it. One that names a `server` alone only puts that in the
//! registry's place, and both settings hold as ever.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use http::HeaderMap;
use reqwest::Url;

use crate::{
    Access, RegistryError, SettingsError,
    config::Rules,
    hosts::access::{Capabilities, Need},
    hosts::file::{HostTable, HostsFile, Server, Settings},
};

/// One host to ask, before there are connections to it.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredHost {
    /// Its URL; the path ends with a slash.
    pub(crate) base: Url,
    /// The path of its API; it ends with a slash.
    pub(crate) root: String,
    /// Host and port as the user wrote them.
    pub(crate) written: String,
    /// True if others are asked when it fails, whatever it fails with.
    pub(crate) mirror: bool,
    /// True if it is the registry itself, for which the caller's credentials are.
    pub(crate) itself: bool,
    pub(crate) security: Security,
    pub(crate) settings: Settings,
    /// The registry that is meant, for a proxy of many registries.
    pub(crate) namespace: Option<String>,
    pub(crate) setting: Setting,
    /// True if a stranger chose it, so that it must have a public address and sees nothing of ours.
    pub(crate) foreign: bool,
}

/// The security demanded of the way to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Security {
    /// TLS with a certificate that can be checked.
    Verified,
    /// TLS with any certificate.
    AnyCertificate,
    /// Not even TLS, nor for the redirects and token servers of the host.
    None,
}

/// The setting that put a host on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The image's name.
    Name,
    /// `registry-mirrors`.
    Mirrors,
    /// A `hosts.toml`, and the line in it.
    File(PathBuf, usize),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the image's name"),
            Self::Mirrors => f.write_str("registry-mirrors"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// Lists the hosts for a registry, in the order in which they are asked.
pub(crate) async fn hosts(
    rules: &Rules,
    registry: &str,
    file: Option<&HostsFile>,
    access: Access,
) -> Result<Vec<ConfiguredHost>, RegistryError> {
    let mut found = match file {
        Some(file) if !file.hosts.is_empty() => listed(rules, registry, file).await?,
        _ => settled(rules, registry, file).await?,
    };
    if access.writes() {
        found = target(found);
    }
    let need = if access.writes() { Need::Push } else { Need::Pull };
    let serves = found.iter().any(|host| host.settings.capabilities.allow(need));
    match file {
        Some(file) if !serves => Err(RegistryError::from(SettingsError::NoHost {
            path: file.path.clone(),
            need: need.to_string(),
            registry: registry.to_owned(),
        })),
        _ => Ok(found),
    }
}

/// Keeps the target of a push: the first host that may be pushed to, and nobody else.
fn target(hosts: Vec<ConfiguredHost>) -> Vec<ConfiguredHost> {
    let mut hosts = hosts.into_iter().filter(|host| host.settings.capabilities.push);
    let Some(first) = hosts.next() else { return Vec::new() };
    // The same host by other schemes goes with it.
    let (written, root) = (first.written.clone(), first.root.clone());
    let same = hosts.take_while(|host| host.written == written && host.root == root);
    let mut found: Vec<ConfiguredHost> = [first].into_iter().chain(same).collect();
    for host in &mut found {
        host.mirror = false;
        // Who stores an image is asked about it, too.
        host.settings.capabilities = Capabilities::ALL;
    }
    found
}

/// The hosts of a file with hosts, which stands alone.
async fn listed(
    rules: &Rules,
    registry: &str,
    file: &HostsFile,
) -> Result<Vec<ConfiguredHost>, RegistryError> {
    let mut found = Vec::new();
    for host in &file.hosts {
        let setting = Setting::File(file.path.clone(), host.line);
        found.extend(
            of_host(rules, registry, host, &setting)?
                .map(|host| ConfiguredHost { mirror: true, ..host }),
        );
    }
    match &file.server {
        Server::Named(host) => {
            let setting = Setting::File(file.path.clone(), host.line);
            found.extend(of_host(rules, registry, host, &setting)?);
        }
        Server::Itself(settings) => {
            let insecure = rules.local.covers(registry).await;
            found.extend(itself(rules, registry, settings, insecure)?);
        }
    }
    Ok(found)
}

/// The hosts without a file, or with one that is only about the server.
async fn settled(
    rules: &Rules,
    registry: &str,
    file: Option<&HostsFile>,
) -> Result<Vec<ConfiguredHost>, RegistryError> {
    let mut found = Vec::new();
    if is_hub(registry) {
        for url in &rules.mirrors {
            let written = authority(url);
            let insecure = rules.insecure.covers(&written).await || url.scheme() == "http";
            let security = if insecure { Security::None } else { Security::Verified };
            let settings = Settings { capabilities: Capabilities::READ, ..Settings::default() };
            let host = ConfiguredHost::new(url, &written, settings, Setting::Mirrors);
            found.push(ConfiguredHost { mirror: true, security, ..host });
        }
    }
    match file.map(|file| (&file.server, file)) {
        Some((Server::Named(host), file)) => {
            let insecure = rules.insecure.covers(&authority(&host.url)).await;
            let setting = Setting::File(file.path.clone(), host.line);
            let hosts = of_host(rules, registry, host, &setting)?.flat_map(|host| {
                let least = if insecure { Security::None } else { Security::Verified };
                let host = ConfiguredHost { security: host.security.max(least), ..host };
                let fallback = insecure && host.base.scheme() == "https";
                let plain = fallback.then(|| host.with_scheme("http")).flatten();
                [Some(host), plain].into_iter().flatten()
            });
            found.extend(hosts);
        }
        Some((Server::Itself(settings), _)) => {
            let insecure = rules.insecure.covers(registry).await;
            found.extend(itself(rules, registry, settings, insecure)?);
        }
        None => {
            let insecure = !is_hub(registry) && rules.insecure.covers(registry).await;
            found.extend(itself(rules, registry, &Settings::default(), insecure)?);
        }
    }
    Ok(found)
}

/// The registry itself: HTTPS, and plain HTTP if it is insecure.
fn itself(
    rules: &Rules,
    registry: &str,
    settings: &Settings,
    insecure: bool,
) -> Result<impl Iterator<Item = ConfiguredHost>, RegistryError> {
    let (https, written) = if is_hub(registry) {
        (rules.hub.clone(), authority(&rules.hub))
    } else {
        (base("https", registry)?, registry.to_owned())
    };
    // Docker Hub is never insecure, a stand-in may be.
    let insecure = if is_hub(registry) { https.scheme() == "http" } else { insecure };
    let security = if insecure { Security::None } else { settings.security() };
    let host = ConfiguredHost::new(&https, &written, settings.clone(), Setting::Name);
    let https = ConfiguredHost { itself: true, security, ..host };
    let plain = (insecure && !is_hub(registry)).then(|| https.with_scheme("http")).flatten();
    Ok([Some(https), plain].into_iter().flatten())
}

/// A host of a file. One with plain HTTP and settings for TLS is asked with TLS first, as containerd does it.
fn of_host(
    rules: &Rules,
    registry: &str,
    host: &HostTable,
    setting: &Setting,
) -> Result<impl Iterator<Item = ConfiguredHost> + use<>, RegistryError> {
    let mut written = authority(&host.url);
    let bare = host.url.path() == "/" && !host.settings.override_path;
    let (mut url, mut root) = (host.url.clone(), host.root.clone());
    if bare && (is_hub(&written) || written == "registry-1.docker.io") {
        url = rules.hub.clone();
        root = format!("{}v2/", url.path());
        written = authority(&url);
    }
    let expected = if is_hub(registry) { rules.hub.clone() } else { base("https", registry)? };
    // Both as URLs have them: without case, and without the port that goes without saying.
    let is_itself = written == authority(&expected);
    let plain = url.scheme() == "http";
    let host = ConfiguredHost {
        root,
        itself: is_itself,
        security: if plain { Security::None } else { host.settings.security() },
        namespace: (!is_itself).then(|| registry.to_owned()),
        ..ConfiguredHost::new(&url, &written, host.settings.clone(), setting.clone())
    };
    let ambiguous = plain && host.settings.configures_tls() && url.port().is_some();
    let tls = ambiguous.then(|| host.with_scheme("https")).flatten().map(|host| ConfiguredHost {
        mirror: true,
        security: host.settings.security(),
        ..host
    });
    Ok([tls, Some(host)].into_iter().flatten())
}

impl Settings {
    fn security(&self) -> Security {
        let any = self.skip_verify == Some(true);
        if any { Security::AnyCertificate } else { Security::Verified }
    }
}

impl ConfiguredHost {
    fn new(url: &Url, written: &str, settings: Settings, setting: Setting) -> Self {
        Self {
            base: url.clone(),
            root: format!("{}v2/", url.path()),
            written: written.to_owned(),
            mirror: false,
            itself: false,
            security: Security::Verified,
            settings,
            namespace: None,
            setting,
            foreign: false,
        }
    }

    /// A host that a layer's manifest names.
    pub(crate) fn foreign(url: &Url) -> Self {
        Self { foreign: true, ..Self::host(url) }
    }

    /// A host that is no registry: its certificate is checked, and it has no settings.
    pub(crate) fn host(url: &Url) -> Self {
        Self::new(url, &authority(url), Settings::default(), Setting::Name)
    }

    /// The same host by another scheme.
    fn with_scheme(&self, scheme: &str) -> Option<Self> {
        let mut base = self.base.clone();
        base.set_scheme(scheme).ok()?;
        Some(Self { base, ..self.clone() })
    }

    /// Returns the `hosts.toml` that it is from.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.setting {
            Setting::File(path, _) => Some(path),
            _ => None,
        }
    }

    /// Returns the headers for this host and no other.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.settings.headers
    }
}

/// Tells whether a name stands for Docker Hub.
pub(crate) fn is_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io")
}

/// Returns host and port of a URL as they were written.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn base(scheme: &str, registry: &str) -> Result<Url, RegistryError> {
    Url::parse(&format!("{scheme}://{registry}/"))
        .map_err(|_| RegistryError::NoEndpoint { host: registry.to_owned() })
}
