//! Image configs: what an image is made of and how it is meant to run.

mod container;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::container::Words;
use crate::{DiffId, Platform, from_go_json};

/// The largest config, in bytes; the same bound as for manifests.
pub const MAX_CONFIG_SIZE: u64 = 4 << 20;

/// The config of an image, as far as Longshore reads it. The bytes are kept beside it (see [`crate::Raw`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// CPU architecture in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Operating system in Go's words.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system; Windows only.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Time of creation, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Name and address of the maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Message of the maker; written by `docker commit` and `import`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Version of the Docker that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_version: Option<String>,
    /// Settings of a container of it (`Cmd`, `Env` …): the fields that Docker knows, those that say something.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "container::deserialize"
    )]
    pub config: Option<Value>,
    /// The layers.
    pub rootfs: RootFs,
    /// Steps that made the layers, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`, or nothing where its maker did not say it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The layers' diff IDs, the bottom one first.
    #[serde(default)]
    pub diff_ids: Vec<DiffId>,
}

/// One step of how an image came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Time of the step, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Name and address of the maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Set if the step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// The config as dockerd reads it: without a root file system it is none.
#[derive(Deserialize)]
struct Rooted {
    rootfs: Option<IgnoredAny>,
}

impl ImageConfig {
    /// Parses a config.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if from_go_json::<Rooted>(bytes)?.rootfs.is_none() {
            return Err(serde::de::Error::missing_field("rootfs"));
        }
        let config: Self = from_go_json(bytes)?;
        if !matches!(&*config.rootfs.kind, "layers" | "") {
            return Err(serde::de::Error::custom(format!(
                "rootfs has type `{}`, only `layers` is supported",
                config.rootfs.kind
            )));
        }
        Ok(config)
    }

    /// Returns what the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        }
    }

    /// Returns the labels, or `None` if the config has no such object.
    pub fn labels(&self) -> Option<BTreeMap<String, String>> {
        let labels = self.config.as_ref()?.get("Labels")?.as_object()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(labels.iter().map(|(key, value)| (key.clone(), text(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_writes_and_refuses_what_it_could_not_use() {
        let good = r#"{"architecture":"amd64","config":{"Labels":{"a":"b"}},"container_config":{},"os":"linux",
            "rootfs":{"type":"layers","diff_ids":null},"history":null,"unknown":1}"#;
        let config = ImageConfig::parse(good.as_bytes()).unwrap();
        assert_eq!(config.platform().to_string(), "linux/amd64");
        assert_eq!(config.labels().unwrap()["a"], "b");
        assert!(config.rootfs.diff_ids.is_empty() && config.history.is_empty());

        for (bad, part) in [
            ("{}", "missing field `rootfs`"),
            (r#"{"rootfs":{"type":"layers+base"}}"#, "`layers+base`"),
            (r#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#, "invalid checksum"),
        ] {
            let error = ImageConfig::parse(bad.as_bytes()).expect_err(bad).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
