//! The directives of `daemon.json`, which are also the daemon's flags.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::ConfigError;

/// Every directive, each set or not: what a file or a command line says.
///
/// The names in the file are the fields' with hyphens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Directives {
    /// Where to listen: `unix:///path` or `tcp://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// The directory that holds everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_root: Option<String>,
    /// How layers are stored: `overlay2` or `packed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_driver: Option<String>,
    /// Whether compressed layers are kept beside the unpacked ones. Longshore's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_blobs: Option<bool>,
    /// URLs of mirrors of Docker Hub, asked first and in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_mirrors: Option<Vec<String>>,
    /// Names or networks of registries that may be reached over plain HTTP or without a valid certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_registries: Option<Vec<String>>,
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
    /// Whether to log debug messages, whatever `log_level` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// The least important messages to log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// `text` or `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,
    /// Where to write the daemon's process ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<String>,
    /// The group that may use the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The names of the directives in a file.
const NAMES: [&str; 15] = [
    "data-root",
    "debug",
    "group",
    "hosts",
    "insecure-registries",
    "keep-blobs",
    "log-format",
    "log-level",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "pidfile",
    "registry-mirrors",
    "stall-timeout",
    "storage-driver",
];

impl Directives {
    /// Reads a file's text and lays the flags over it. A directive that is in both is an error, as is one in the file
    /// that nobody knows.
    pub(crate) fn merge(file: &str, flags: &Self) -> Result<Self, ConfigError> {
        let text = file.strip_prefix('\u{feff}').unwrap_or(file).trim();
        let mut merged = if text.is_empty() {
            Map::new()
        } else {
            serde_json::from_str::<Map<String, Value>>(text).map_err(ConfigError::Json)?
        };
        let unknown: Vec<_> =
            merged.keys().filter(|key| !NAMES.contains(&key.as_str())).cloned().collect();
        if !unknown.is_empty() {
            return Err(ConfigError::Unknown(unknown));
        }
        let flags = match serde_json::to_value(flags).map_err(ConfigError::Json)? {
            Value::Object(flags) => flags,
            _ => Map::new(),
        };
        let both = |(name, flag): (&String, &Value)| {
            let file = merged.get(name)?;
            Some(format!("{name}: (from flag: {}, from file: {})", plain(flag), plain(file)))
        };
        let conflicts: Vec<_> = flags.iter().filter_map(both).collect();
        if !conflicts.is_empty() {
            return Err(ConfigError::Conflict(conflicts));
        }
        merged.extend(flags);
        serde_json::from_value(Value::Object(merged)).map_err(ConfigError::Json)
    }
}

/// A value as dockerd prints it in a conflict: text without quotes, lists as `[a b]`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_is_the_struct() {
        let some = |name: &str| match name {
            "debug" | "keep-blobs" => Value::Bool(true),
            "hosts" | "registry-mirrors" | "insecure-registries" => Value::Array(vec!["x".into()]),
            name if name.starts_with("max-") || name == "stall-timeout" => Value::from(7),
            _ => Value::from("x"),
        };
        let all: Map<String, Value> =
            NAMES.iter().map(|name| ((*name).to_owned(), some(name))).collect();
        let read: Directives = serde_json::from_value(Value::Object(all.clone())).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), Value::Object(all));
    }

    #[test]
    fn flags_and_file_complete_each_other() {
        let flags = Directives { debug: Some(true), ..Directives::default() };
        let merged =
            Directives::merge("\u{feff} {\"data-root\": \"/d\", \"group\": \"g\"}\n", &flags)
                .unwrap();
        assert_eq!(merged.data_root.as_deref(), Some("/d"));
        assert_eq!(merged.debug, Some(true));
        assert_eq!(Directives::merge(" \n", &flags).unwrap(), flags);
    }

    #[test]
    fn errors_are_in_dockerds_words() {
        let flags = Directives {
            hosts: Some(vec!["unix:///a".into(), "tcp://b:1".into()]),
            debug: Some(true),
            max_concurrent_downloads: Some(4),
            ..Directives::default()
        };
        let table = [
            (
                r#"{"features":{"x":true},"bogus":1,"debug":false}"#,
                "the following directives don't match any configuration option: bogus, features",
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
        ];
        for (file, expected) in table {
            assert_eq!(Directives::merge(file, &flags).unwrap_err().to_string(), expected);
        }
        for file in
            ["[]", "{", r#"{"debug":"yes"}"#, r#"{"hosts":"unix:///a"}"#, r#"{"group":null}x"#]
        {
            let error = Directives::merge(file, &Directives::default()).unwrap_err().to_string();
            assert!(error.starts_with("invalid JSON: "), "{file}: {error}");
        }
    }
}
