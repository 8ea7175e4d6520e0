//! The part of an image's config that says how a container of it runs, as dockerd writes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

/// A set as Go writes one: an object with an empty object for each member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set(pub(super) BTreeSet<String>);

impl Set {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Set {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Empty {}
        serializer.collect_map(self.0.iter().map(|member| (member, Empty {})))
    }
}

/// The fields in dockerd's order; what is `None` is written as `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "dockerd's fields")]
pub(crate) struct ContainerConfig {
    hostname: String,
    domainname: String,
    pub(super) user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "Set::is_empty")]
    pub(super) exposed_ports: Set,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    pub(super) env: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) healthcheck: Option<Healthcheck>,
    image: String,
    pub(super) volumes: Option<Set>,
    pub(super) working_dir: String,
    pub(super) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) on_build: Vec<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) stop_signal: String,
}

/// The test by which a container is found to be well. Times are in nanoseconds; 0 means "as it was".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}
