//! `daemon.json` and the flags together: one set of directives, each said once.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::directives::Directives;
use super::error::{ConfigError, UnknownDirective};
use super::proxies::mask_credentials;

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

/// The directives of a file and of the flags together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The directives of both.
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
            } else if !Directives::has(name) {
                unknown.push(UnknownDirective {
                    name: name.clone(),
                    line: line_of(file, name),
                    meant: Directives::nearest(name),
                });
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
            .map_err(|error| wrong_type(file, merged, error))?;
        Ok(Self { directives, ignored })
    }
}

/// Returns the line in which a file, which is JSON, has a directive: the last of that name, which counts, and one of
/// `proxies` before those beside it. Keys further inside are values' own.
fn line_of(file: &str, directive: &str) -> usize {
    let members = |object| serde_json::from_str::<Members<'_>>(object).unwrap_or_default().0;
    let last = |members: &[(String, &RawValue)]| {
        let found = members.iter().rfind(|(name, _)| name == directive);
        found.map(|(_, value)| value.get().as_ptr())
    };
    let beside = members(file);
    let proxies = beside.iter().filter(|(name, _)| name == PROXIES);
    let inside: Vec<_> = proxies.flat_map(|(_, value)| members(value.get())).collect();
    let value = last(&inside).or(last(&beside));
    // A value is a part of the file, and its key stands before the colon before it.
    let before = value.map_or("", |value| &file[..value.addr() - file.as_ptr().addr()]);
    let key = before.rsplit_once(':').map_or("", |(key, _)| key.trim_end());
    key.matches('\n').count() + 1
}

/// The members of an object as they stand in a text, repeated ones too.
#[derive(Default)]
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

/// Names the directive whose value was refused.
fn wrong_type(file: &str, merged: Map<String, Value>, error: serde_json::Error) -> ConfigError {
    let refused = merged.into_iter().find_map(|(name, value)| {
        let alone = Value::Object(Map::from_iter([(name.clone(), value)]));
        serde_json::from_value::<Directives>(alone).err().map(|error| (name, error))
    });
    match refused {
        Some((name, source)) => ConfigError::Type { line: line_of(file, &name), name, source },
        None => ConfigError::Json(error),
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
    use std::collections::BTreeMap;

    use super::*;

    fn merge(file: &str, flags: &Directives) -> Result<Merged, ConfigError> {
        Merged::new(file, flags)
    }

    #[test]
    fn foreign_directives_are_no_directives() {
        assert!(FOREIGN.is_sorted());
        assert!(!FOREIGN.iter().any(|name| Directives::has(name)));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_told_with_its_name() {
        let file = "{\n  \"debug\": true,\n\n  \"max-concurrent-downloads\": \"3\"}";
        let error = merge(file, &Directives::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid JSON: max-concurrent-downloads (line 4): invalid type: string \"3\", expected i64"
        );
        // A key of the same name may be in a value, and the last of several counts.
        for (file, line) in [
            ("{\"log-opts\":\n {\"debug\": \"x\"},\n\"debug\": \"yes\"}", 3),
            ("{\"debug\": true,\n\"labels\": [\"a\\\"{\"],\n\"debug\": \"yes\"}", 3),
            ("{\n\"deb\\u0075g\": \"yes\"}", 2),
        ] {
            let error = merge(file, &Directives::default()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid JSON: debug (line {line}): ")), "{error}");
        }
        let file = "{\"runtimes\": {\"http-proxy\": 1},\n\"proxies\": {\n\"http-proxy\": 1},\n\"dns\": []}";
        let error = merge(file, &Directives::default()).unwrap_err().to_string();
        assert!(error.starts_with("invalid JSON: http-proxy (line 3): "), "{error}");
    }

    #[test]
    fn a_typo_is_told_with_its_line_and_what_was_meant() {
        let file = "{\n  \"labels\": [\"debg=1\", \"debg\"],\r\n\t\"debg\" : true, \"proxies\": {\"htp-proxy\": \"\"},\n\"zzz\": 1}";
        let error = merge(file, &Directives::default()).unwrap_err();
        let path = "/d.json".into();
        let advice = ConfigError::File { path, source: Box::new(error) }.advice().unwrap();
        assert_eq!(
            advice,
            "/d.json: \"debg\" stands in line 3: did you mean \"debug\"?; \"htp-proxy\" stands in line 3: did you mean \
             \"http-proxy\"?; \"zzz\" stands in line 4"
        );
        assert_eq!([line_of("", "x"), line_of("{\"x\":1}", "x")], [1, 1]);
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
