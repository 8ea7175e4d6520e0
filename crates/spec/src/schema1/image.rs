//! The document that dockers before 1.10 had of each layer, with the types and the order of Go's fields.
//!
//! Manifests of schema 1 hold it as text, and archives of images have it to this day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::error::Schema1Error;
use crate::go::{ZERO_TIME, time};
use crate::{Words, from_go_json};

/// A document of a layer, the topmost of which is an image's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct V1Image {
    /// The hash that names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The name of the one below it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) comment: String,
    /// Time of creation.
    pub created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    pub(super) container_config: RunConfig,
    #[serde(skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<RunConfig>,
    #[serde(skip_serializing_if = "String::is_empty")]
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    /// Operating system in Go's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os: String,
}

impl V1Image {
    /// Reads the fields of a document, or those that it has in common with a config.
    pub fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        from_go_json(document)
    }

    /// Makes a document that says nothing but a time.
    pub fn created_at(time: &str) -> Self {
        Self { created: Some(time.to_owned()), ..Self::default() }
    }

    /// Leaves out what dockerd has left out since version 25: empty triggers, and addresses of network cards.
    #[must_use]
    pub fn without_old_fields(mut self) -> Self {
        for config in self.config.iter_mut().chain([&mut self.container_config]) {
            config.on_build.is_left_out = config.on_build.steps.is_empty();
            config.mac_address.clear();
        }
        self
    }
}

/// Returns a time as Go writes it.
pub(super) fn checked_time(text: Option<&str>) -> Result<String, Schema1Error> {
    let text = text.unwrap_or(ZERO_TIME);
    time(text).ok_or_else(|| Schema1Error::Time(text.to_owned()))
}

/// The settings of a container, as Go's struct has them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the fields are Docker's")]
pub(super) struct RunConfig {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "Keys::is_empty")]
    exposed_ports: Keys,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Option<Vec<String>>,
    pub(super) cmd: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "is_false")]
    args_escaped: bool,
    image: String,
    volumes: Option<Keys>,
    working_dir: String,
    entrypoint: Option<Words>,
    #[serde(skip_serializing_if = "is_false")]
    network_disabled: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    mac_address: String,
    #[serde(skip_serializing_if = "Triggers::are_left_out")]
    on_build: Triggers,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Words::is_empty")]
    shell: Words,
}

/// The steps that a build on the image begins with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Option<Vec<String>>")]
struct Triggers {
    steps: Vec<String>,
    /// Set if Go had no list rather than an empty one.
    is_null: bool,
    is_left_out: bool,
}

impl From<Option<Vec<String>>> for Triggers {
    fn from(steps: Option<Vec<String>>) -> Self {
        Self { is_null: steps.is_none(), steps: steps.unwrap_or_default(), is_left_out: false }
    }
}

impl Triggers {
    fn are_left_out(&self) -> bool {
        self.is_left_out
    }
}

impl Serialize for Triggers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_null { serializer.serialize_none() } else { self.steps.serialize(serializer) }
    }
}

/// A set, which Go writes as a map to empty structs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "BTreeMap<String, Value>")]
struct Keys(Vec<String>);

impl From<BTreeMap<String, Value>> for Keys {
    fn from(map: BTreeMap<String, Value>) -> Self {
        Self(map.into_keys().collect())
    }
}

impl Keys {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Nothing {}
        serializer.collect_map(self.0.iter().map(|key| (key, Nothing {})))
    }
}

/// The test of a container's health; times in nanoseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}
