//! The directives of `daemon.json`, which are also the daemon's flags.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::proxies::mask_credentials;

/// Every directive that means something here, each set or not: what a file or a command line says.
///
/// The names in the file are the fields' with hyphens.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Directives {
    /// Where to listen: `unix:///path`, `tcp://host:port` or `fd://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// The directory that holds everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_root: Option<String>,
    /// The old name of `data-root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<String>,
    /// How layers are stored: `overlay2` or `packed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_driver: Option<String>,
    /// Options of the storage driver, `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_opts: Option<Vec<String>>,
    /// Whether compressed layers are kept beside the unpacked ones. Longshore's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_blobs: Option<bool>,
    /// URLs of mirrors of Docker Hub, asked first and in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_mirrors: Option<Vec<String>>,
    /// Names or networks of registries that may be reached over plain HTTP or without a valid certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_registries: Option<Vec<String>>,
    /// Names or networks of registries that layers may be pushed to although they are not to be redistributed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_nondistributable_artifacts: Option<Vec<String>>,
    /// Layers downloaded at the same time for one pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_downloads: Option<i64>,
    /// Layers uploaded at the same time for one push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_uploads: Option<i64>,
    /// Attempts at one layer before a pull fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_download_attempts: Option<i64>,
    /// Seconds without a byte after which a transfer is tried again. Longshore's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_timeout: Option<i64>,
    /// Seconds that running requests get when the daemon stops; without end if negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_timeout: Option<i64>,
    /// The proxy for plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_proxy: Option<String>,
    /// The proxy for HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_proxy: Option<String>,
    /// What is reached without a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Whether TCP is served over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Whether clients over TCP must show a certificate; any value turns TLS on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlsverify: Option<bool>,
    /// The authorities of clients' certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlscacert: Option<String>,
    /// The daemon's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlscert: Option<String>,
    /// The daemon's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlskey: Option<String>,
    /// Switches of dockerd's, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<BTreeMap<String, bool>>,
    /// What the daemon calls itself, `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// The oldest version of the API that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_api_version: Option<String>,
    /// Where metrics are served, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_addr: Option<String>,
    /// Whether to log debug messages, whatever `log_level` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// The least important messages to log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// `text` or `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,
    /// Whether to log without colours, which is always so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_logs: Option<bool>,
    /// Where to write the daemon's process ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<String>,
    /// The group that may use the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Plugins that judge each request: there are none here, so that a daemon that should ask one does not start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_plugins: Option<Vec<String>>,
    /// The user whose subordinate IDs own what images hold: nothing is shifted here, so that a daemon that should do so
    /// does not start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userns_remap: Option<String>,
    /// Permission to answer Longshore's own routes over TCP without TLS. Longshore's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_tcp_routes: Option<bool>,
}

/// The names of the directives in a file, sorted.
const NAMES: [&str; 35] = [
    "allow-nondistributable-artifacts",
    "authorization-plugins",
    "data-root",
    "debug",
    "features",
    "graph",
    "group",
    "hosts",
    "http-proxy",
    "https-proxy",
    "insecure-registries",
    "insecure-tcp-routes",
    "keep-blobs",
    "labels",
    "log-format",
    "log-level",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "min-api-version",
    "no-proxy",
    "pidfile",
    "raw-logs",
    "registry-mirrors",
    "shutdown-timeout",
    "stall-timeout",
    "storage-driver",
    "storage-opts",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userns-remap",
];

/// The object in a file that may hold the directives of proxies.
const PROXIES: &str = "proxies";

/// Directives of dockerd's for what there is not here: containers, networks, a swarm, plugins. Sorted. An existing
/// `daemon.json` may have them.
///
/// None of them protects images or the API. Those that protect containers from each other and the host from containers
/// (`icc`, `no-new-privileges`, `seccomp-profile`, `selinux-enabled` …) have nothing to protect where nothing runs.
const FOREIGN: [&str; 71] = [
    "allow-direct-routing",
    "api-cors-header",
    "bip",
    "bip6",
    "bridge",
    "bridge-accept-fwmark",
    "builder",
    "cdi-spec-dirs",
    "cgroup-parent",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opts",
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "containerd-plugins-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cri-containerd",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-init",
    "default-ipc-mode",
    "default-network-opts",
    "default-runtime",
    "default-shm-size",
    "default-stop-timeout",
    "default-ulimits",
    "deprecated-key-path",
    "dns",
    "dns-opts",
    "dns-search",
    "exec-opts",
    "exec-root",
    "experimental",
    "firewall-backend",
    "fixed-cidr",
    "fixed-cidr-v6",
    "host-gateway-ip",
    "host-gateway-ips",
    "icc",
    "init",
    "init-path",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "live-restore",
    "log-driver",
    "log-opts",
    "mtu",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-new-privileges",
    "node-generic-resources",
    "nri-opts",
    "oom-score-adjust",
    "rootless",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "swarm-default-advertise-addr",
    "swarm-raft-election-tick",
    "swarm-raft-heartbeat-tick",
    "userland-proxy",
    "userland-proxy-path",
];

impl std::fmt::Debug for Directives {
    /// Prints what is set, without the passwords that proxies may have.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let document = serde_json::to_value(self).unwrap_or_default();
        let set = document.as_object().into_iter().flatten();
        f.debug_map().entries(set.map(|(name, value)| (name, plain(name, value)))).finish()
    }
}

/// What a file and the flags say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// What they say.
    pub(crate) directives: Directives,
    /// Names in the file that mean nothing here, and are dockerd's.
    pub(crate) ignored: Vec<String>,
}

impl Merged {
    /// Reads a file's text and lays the flags over it. A directive that is in both is an error, as is one in the file
    /// that nobody knows.
    pub(crate) fn new(file: &str, flags: &Directives) -> Result<Self, ConfigError> {
        let text = file.strip_prefix('\u{feff}').unwrap_or(file).trim();
        let mut merged = if text.is_empty() {
            Map::new()
        } else {
            serde_json::from_str::<Map<String, Value>>(text).map_err(ConfigError::Json)?
        };
        match merged.remove(PROXIES) {
            Some(Value::Object(proxies)) => merged.extend(proxies),
            None | Some(Value::Null) => {}
            Some(_) => {
                return Err(ConfigError::Json(serde_json::Error::custom(
                    "proxies is not an object",
                )));
            }
        }
        let (mut ignored, mut unknown) = (Vec::new(), Vec::new());
        for name in merged.keys() {
            if FOREIGN.binary_search(&name.as_str()).is_ok() {
                ignored.push(name.clone());
            } else if NAMES.binary_search(&name.as_str()).is_err() {
                unknown.push(name.clone());
            }
        }
        if !unknown.is_empty() {
            return Err(ConfigError::Unknown(unknown));
        }
        let flags = match serde_json::to_value(flags).map_err(ConfigError::Json)? {
            Value::Object(flags) => flags,
            _ => Map::new(),
        };
        let both = |(name, flag): (&String, &Value)| {
            let file = merged.get(name)?;
            let (flag, file) = (plain(name, flag), plain(name, file));
            Some(format!("{name}: (from flag: {flag}, from file: {file})"))
        };
        let conflicts: Vec<_> = flags.iter().filter_map(both).collect();
        if !conflicts.is_empty() {
            return Err(ConfigError::Conflict(conflicts));
        }
        merged.retain(|name, _| !ignored.contains(name));
        merged.extend(flags);
        let directives = serde_json::from_value(Value::Object(merged.clone()))
            .map_err(|error| ConfigError::Json(with_name(merged, error)))?;
        Ok(Self { directives, ignored })
    }
}

/// Says of which directive the value is that was refused.
fn with_name(merged: Map<String, Value>, error: serde_json::Error) -> serde_json::Error {
    let refused = merged.into_iter().find_map(|(name, value)| {
        let alone = Value::Object(Map::from_iter([(name.clone(), value)]));
        serde_json::from_value::<Directives>(alone).err().map(|error| (name, error))
    });
    match refused {
        Some((name, error)) => serde_json::Error::custom(format!("{name}: {error}")),
        None => error,
    }
}

/// A value as dockerd prints it in a conflict: text without quotes, lists as `[a b]`, proxies without passwords.
fn plain(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) if name.ends_with("-proxy") => mask_credentials(text),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| plain(name, item)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(member, value)| format!("{member}:{}", plain(member, value)))
                .collect();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(file: &str, flags: &Directives) -> Result<Merged, ConfigError> {
        Merged::new(file, flags)
    }

    #[test]
    fn the_list_of_names_is_the_struct() {
        let some = |name: &str| match name {
            "debug" | "keep-blobs" | "tls" | "tlsverify" | "raw-logs" | "insecure-tcp-routes" => {
                Value::Bool(true)
            }
            "hosts"
            | "registry-mirrors"
            | "insecure-registries"
            | "allow-nondistributable-artifacts"
            | "storage-opts"
            | "labels"
            | "authorization-plugins" => Value::Array(vec!["x".into()]),
            "features" => serde_json::json!({"x": true}),
            name if name.starts_with("max-") || name.ends_with("-timeout") => Value::from(7),
            _ => Value::from("x"),
        };
        let all: Map<String, Value> =
            NAMES.iter().map(|name| ((*name).to_owned(), some(name))).collect();
        let read: Directives = serde_json::from_value(Value::Object(all.clone())).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), Value::Object(all));
        assert!(NAMES.is_sorted() && FOREIGN.is_sorted());
        assert!(NAMES.iter().all(|name| FOREIGN.binary_search(name).is_err()));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_told_with_its_name() {
        let file = r#"{"debug": true, "max-concurrent-downloads": "3"}"#;
        let error = merge(file, &Directives::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid JSON: max-concurrent-downloads: invalid type: string \"3\", expected i64"
        );
    }

    #[test]
    fn flags_and_file_complete_each_other() {
        let flags = Directives { debug: Some(true), ..Directives::default() };
        let merged = merge("\u{feff} {\"data-root\": \"/d\", \"group\": \"g\"}\n", &flags).unwrap();
        assert_eq!(merged.directives.data_root.as_deref(), Some("/d"));
        assert_eq!(merged.directives.debug, Some(true));
        assert_eq!(merge(" \n", &flags).unwrap(), Merged { directives: flags, ignored: vec![] });
    }

    #[test]
    fn a_file_of_dockerds_is_taken_as_it_is() {
        let file = r#"{"live-restore": true, "log-driver": "json-file", "log-opts": {"max-size": "10m"},
            "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}], "icc": false, "no-new-privileges": true, "mtu": 1400,
            "exec-opts": ["native.cgroupdriver=systemd"], "runtimes": {"crun": {"path": "/usr/bin/crun"}},
            "builder": {"gc": {"enabled": true}}, "allow-direct-routing": true, "dns": ["1.1.1.1"],
            "proxies": {"http-proxy": "http://p:1", "no-proxy": "x"}, "features": {"buildkit": true}}"#;
        let merged = merge(file, &Directives::default()).unwrap();
        assert_eq!(merged.directives.http_proxy.as_deref(), Some("http://p:1"));
        assert_eq!(merged.directives.no_proxy.as_deref(), Some("x"));
        let ignored = "allow-direct-routing builder default-address-pools dns exec-opts icc live-restore \
                       log-driver log-opts mtu no-new-privileges runtimes";
        assert_eq!(merged.ignored, ignored.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn errors_are_in_dockerds_words() {
        let flags = Directives {
            hosts: Some(vec!["unix:///a".into(), "tcp://b:1".into()]),
            debug: Some(true),
            max_concurrent_downloads: Some(4),
            https_proxy: Some("http://me:s3cret@p".into()),
            features: Some(BTreeMap::from([("x".into(), true)])),
            ..Directives::default()
        };
        let shown = format!("{flags:?}");
        assert!(shown.contains("xxxxx@p") && !shown.contains("s3cret"), "{shown}");
        let table = [
            (
                r#"{"feature":{"x":true},"bogus":1,"debug":false,"proxies":{"ftp-proxy":"x"}}"#,
                "the following directives don't match any configuration option: bogus, feature, ftp-proxy",
            ),
            (
                r#"{"debug":false}"#,
                "the following directives are specified both as a flag and in the configuration file: debug: \
                 (from flag: true, from file: false)",
            ),
            (
                r#"{"hosts":["unix:///c"],"max-concurrent-downloads":3}"#,
                "the following directives are specified both as a flag and in the configuration file: hosts: \
                 (from flag: [unix:///a tcp://b:1], from file: [unix:///c]), max-concurrent-downloads: \
                 (from flag: 4, from file: 3)",
            ),
            (
                r#"{"proxies":{"https-proxy":"http://you:s3cret@q"},"features":{"y":false}}"#,
                "the following directives are specified both as a flag and in the configuration file: features: \
                 (from flag: map[x:true], from file: map[y:false]), https-proxy: \
                 (from flag: http://xxxxx:xxxxx@p, from file: http://xxxxx:xxxxx@q)",
            ),
        ];
        for (file, expected) in table {
            assert_eq!(merge(file, &flags).unwrap_err().to_string(), expected);
        }
        for file in [
            "[]",
            "{",
            r#"{"debug":"yes"}"#,
            r#"{"hosts":"unix:///a"}"#,
            r#"{"group":null}x"#,
            r#"{"features":["x"]}"#,
            r#"{"proxies":"http://p"}"#,
        ] {
            let error = merge(file, &Directives::default()).unwrap_err().to_string();
            assert!(error.starts_with("invalid JSON: "), "{file}: {error}");
        }
    }
}
