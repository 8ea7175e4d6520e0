//! From directives to a configuration: what is said must make sense.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use api::ApiVersion;
use store::DriverKind;

use super::address::ListenAddress;
use super::directives::{Directives, Merged};
use super::{ConfigError, DaemonConfig, Defaults, Group, LogFormat, TlsFiles, TlsMode};

/// Where a daemon with TLS listens that was not told where, as dockerd.
const TLS_HOST: &str = "localhost:2376";

impl DaemonConfig {
    /// Makes a configuration of what file and flags say.
    pub(super) fn check(merged: Merged, defaults: Defaults) -> Result<Self, ConfigError> {
        let Merged { mut directives, ignored } = merged;
        protections(&mut directives)?;
        let tls = tls(&mut directives, &defaults);
        let mut config = Self::new(defaults);
        if !ignored.is_empty() {
            config.warnings.push(format!(
                "the following directives of the configuration file are for containers, networks, plugins or a swarm, \
                 and mean nothing here: {}",
                ignored.join(", ")
            ));
        }
        config.listen(&mut directives, tls)?;
        config.keep(&mut directives)?;
        config.transfer(&mut directives)?;
        config.log(&mut directives)?;
        config.name(directives)?;
        config.registry("").validate().map_err(ConfigError::Registry)?;
        Ok(config)
    }

    fn listen(
        &mut self,
        directives: &mut Directives,
        tls: Option<TlsFiles>,
    ) -> Result<(), ConfigError> {
        let mut hosts = directives.hosts.take().unwrap_or_default();
        hosts.retain(|host| !host.trim().is_empty());
        if !hosts.is_empty() {
            self.hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>()?;
            self.hosts.sort_by_key(ToString::to_string);
            self.hosts.dedup();
        } else if tls.is_some() {
            self.hosts = vec![ListenAddress::Tcp(TLS_HOST.to_owned())];
        }
        self.tls = tls;
        self.insecure_tcp_routes = directives.insecure_tcp_routes.unwrap_or_default();
        self.pidfile = path(directives.pidfile.take());
        self.metrics_addr = text(directives.metrics_addr.take());
        if let Some(name) = directives.group.take() {
            self.group = Group { required: !name.is_empty(), name };
        }
        Ok(())
    }

    fn keep(&mut self, directives: &mut Directives) -> Result<(), ConfigError> {
        if let Some(graph) = text(directives.graph.take()) {
            if directives.data_root.is_some() {
                return Err(ConfigError::Graph);
            }
            self.warnings.push("the directive graph is the old name of data-root".to_owned());
            directives.data_root = Some(graph);
        }
        if let Some(root) = path(directives.data_root.take()) {
            self.data_root = root;
        }
        if let Some(driver) = text(directives.storage_driver.take()) {
            let kind =
                DriverKind::from_str(&driver).map_err(|_| ConfigError::StorageDriver(driver))?;
            self.storage_driver = Some(kind);
        }
        for option in directives.storage_opts.take().unwrap_or_default() {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| ConfigError::StorageOptionSyntax(option.clone()))?;
            match name.trim().to_ascii_lowercase().as_str() {
                "overlay2.override_kernel_check" => {}
                "overlay2.size" => self.warnings.push(format!(
                    "the storage option overlay2.size={value} limits what containers write, and means nothing here"
                )),
                unknown => return Err(ConfigError::StorageOption(unknown.to_owned())),
            }
        }
        self.keep_blobs = directives.keep_blobs.unwrap_or(self.keep_blobs);
        Ok(())
    }

    fn transfer(&mut self, directives: &mut Directives) -> Result<(), ConfigError> {
        self.registry_mirrors = directives.registry_mirrors.take().unwrap_or_default();
        self.insecure_registries = directives.insecure_registries.take().unwrap_or_default();
        self.nondistributable_artifacts =
            directives.allow_nondistributable_artifacts.take().unwrap_or_default();
        number(
            "max concurrent downloads",
            directives.max_concurrent_downloads,
            &mut self.max_concurrent_downloads,
        )?;
        number(
            "max concurrent uploads",
            directives.max_concurrent_uploads,
            &mut self.max_concurrent_uploads,
        )?;
        number(
            "max download attempts",
            directives.max_download_attempts,
            &mut self.max_download_attempts,
        )?;
        let mut seconds = self.stall_timeout.as_secs();
        number("stall timeout", directives.stall_timeout, &mut seconds)?;
        self.stall_timeout = Duration::from_secs(seconds);
        if let Some(seconds) = directives.shutdown_timeout {
            // A number below zero is dockerd's way to say "for ever".
            self.shutdown_timeout = u64::try_from(seconds).ok().map(Duration::from_secs);
        }
        for (said, proxy) in [
            (directives.http_proxy.take(), &mut self.proxies.http),
            (directives.https_proxy.take(), &mut self.proxies.https),
            (directives.no_proxy.take(), &mut self.proxies.no_proxy),
        ] {
            *proxy = text(said).or_else(|| proxy.take());
        }
        Ok(())
    }

    fn log(&mut self, directives: &mut Directives) -> Result<(), ConfigError> {
        self.debug = directives.debug.unwrap_or(self.debug);
        if let Some(level) = text(directives.log_level.take()) {
            self.log_level = log_level(level)?;
        }
        self.log_format = match directives.log_format.take().as_deref() {
            None | Some("" | "text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(ConfigError::LogFormat(other.to_owned())),
        };
        Ok(())
    }

    fn name(&mut self, directives: Directives) -> Result<(), ConfigError> {
        self.labels = labels(directives.labels.unwrap_or_default())?;
        self.features = directives.features.unwrap_or_default();
        if self.features.get("containerd-snapshotter") == Some(&true) {
            return Err(ConfigError::Snapshotter);
        }
        if let Some(version) = text(directives.min_api_version) {
            let known = version
                .parse()
                .ok()
                .filter(|version| (ApiVersion::MINIMUM..=ApiVersion::CURRENT).contains(version));
            self.min_api_version = known.ok_or(ConfigError::MinApiVersion(version))?;
        }
        Ok(())
    }
}

/// Refuses what asks for a protection that is not here. Nothing asks for it in an empty list or text, as with dockerd.
fn protections(directives: &mut Directives) -> Result<(), ConfigError> {
    if directives.authorization_plugins.take().is_some_and(|plugins| !plugins.is_empty()) {
        return Err(ConfigError::Protection {
            directive: "authorization-plugins",
            lack: "no plugin is asked whether a request is allowed",
        });
    }
    if text(directives.userns_remap.take()).is_some() {
        return Err(ConfigError::Protection {
            directive: "userns-remap",
            lack: "the owners of an image's files are not shifted",
        });
    }
    Ok(())
}

/// Says how TCP is encrypted. Whoever says anything of verification wants TLS, and who wants TLS and says nothing of
/// verification wants that, too: as dockerd has it.
///
/// The environment's wish holds where there is TCP to secure: it may be there for a client.
fn tls(directives: &mut Directives, defaults: &Defaults) -> Option<TlsFiles> {
    let is_open = |host: &String| !matches!(host.parse(), Ok(ListenAddress::Unix(_)));
    let wanted = defaults.tls_verify && directives.hosts.iter().flatten().any(is_open);
    let (tls, verify) = (directives.tls, directives.tlsverify.or(wanted.then_some(true)));
    if verify.is_none() && tls != Some(true) {
        return None;
    }
    let file =
        |said: Option<String>, name| path(said).unwrap_or_else(|| defaults.tls_dir.join(name));
    Some(TlsFiles {
        mode: if verify.unwrap_or(true) { TlsMode::Verify } else { TlsMode::Encrypt },
        authority: file(directives.tlscacert.take(), "ca.pem"),
        certificate: file(directives.tlscert.take(), "cert.pem"),
        key: file(directives.tlskey.take(), "key.pem"),
    })
}

/// An empty text is as good as none.
fn text(said: Option<String>) -> Option<String> {
    said.filter(|text| !text.is_empty())
}

fn path(said: Option<String>) -> Option<PathBuf> {
    text(said).map(PathBuf::from)
}

/// Checks labels as dockerd does: names and values, each name once.
fn labels(labels: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let mut kept: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        let Some((name, _)) = label.split_once('=') else {
            return Err(ConfigError::Label(label));
        };
        let lowered = label.to_ascii_lowercase();
        if ["com.docker.", "io.docker.", "org.dockerproject."]
            .iter()
            .any(|own| lowered.starts_with(own))
        {
            return Err(ConfigError::ReservedLabel(label));
        }
        let same = |other: &&String| other.split_once('=').is_some_and(|(other, _)| other == name);
        match kept.iter().find(same) {
            Some(other) if *other != label => {
                return Err(ConfigError::LabelConflict(label, other.clone()));
            }
            Some(_) => {}
            None => kept.push(label),
        }
    }
    Ok(kept)
}

/// Takes over a number that is given. Zero is Docker's way to say "the default".
fn number<T: TryFrom<i64>>(
    name: &'static str,
    given: Option<i64>,
    target: &mut T,
) -> Result<(), ConfigError> {
    if let Some(value) = given.filter(|value| *value != 0) {
        *target = T::try_from(value).map_err(|_| ConfigError::Number { name, value })?;
    }
    Ok(())
}

/// The level that a name of dockerd's means.
fn log_level(name: String) -> Result<tracing::Level, ConfigError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "panic" | "fatal" | "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "info" => tracing::Level::INFO,
        "debug" => tracing::Level::DEBUG,
        "trace" => tracing::Level::TRACE,
        _ => return Err(ConfigError::LogLevel(name)),
    })
}
