//! Types of settings, and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use api::Filters;
use serde::{Deserialize, Serialize};

use super::address::ListenAddress;
use super::proxies::Proxies;

/// The group of the socket unless another is named.
pub(super) const DEFAULT_GROUP: &str = "docker";
/// Time for requests that run after the daemon was told to stop; dockerd's value. What is cut off is not
/// lost: the next pull goes on where it was.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);
/// The time between prunes where the schedule does not say it.
pub(super) const PRUNE_INTERVAL: Duration = Duration::from_hours(24);
/// The least time between prunes: each looks at all images.
pub(super) const LEAST_PRUNE_INTERVAL: Duration = Duration::from_mins(1);
/// Names of files in the directory for TLS.
pub(super) const TLS_AUTHORITY: &str = "ca.pem";
pub(super) const TLS_CERTIFICATE: &str = "cert.pem";
pub(super) const TLS_KEY: &str = "key.pem";

/// Defaults where neither the file nor a flag says anything.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The directory that holds everything.
    pub data_root: PathBuf,
    /// Addresses to listen on.
    pub hosts: Vec<ListenAddress>,
    /// Directories with certificates of registries, each as dockerd's `/etc/docker/certs.d`.
    pub certs_dirs: Vec<PathBuf>,
    /// The directory of `ca.pem`, `cert.pem` and `key.pem` for TLS.
    pub tls_dir: PathBuf,
    /// The environment's wish that clients over TCP show a certificate.
    pub tls_verify: bool,
    /// The environment's permission of images of schema 1.
    pub allow_schema1: bool,
    /// The proxies to registries, which are the environment's.
    pub proxies: Proxies,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// TLS for TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of clients, wanted or not.
    pub mode: TlsMode,
    /// The authority that signs clients' certificates, in PEM.
    pub authority: PathBuf,
    /// The daemon's certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// The daemon's key, in PEM.
    pub key: PathBuf,
}

/// Clients that may speak to a daemon over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Everybody.
    Encrypt,
    /// Those with a certificate that the daemon's authority signed.
    Verify,
}

/// The group of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name or number.
    pub name: String,
    /// True if the user named it, so that it must exist.
    pub required: bool,
}

/// The content of pulled images that stays when their layers are unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepBlobs {
    /// All of it: a push sends the very bytes that were pulled.
    #[default]
    All,
    /// Manifests, configs, and what only parts of an index have, which are not unpacked. A push makes the other layers anew.
    Manifests,
}

/// The directive of the content that stays, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected all or manifests")]
pub enum KeepBlobsDirective {
    /// `all`, `manifests`.
    Word(String),
    /// Its older form: true is `all`, false `manifests`.
    Truth(bool),
}

/// The directive of prunes by the clock, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PruneDirective {
    /// Time from one to the next: `24h`, `7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Images of each repository that stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u64>,
    /// Time in which an image was not used: `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_for: Option<String>,
    /// Size up to which nothing goes: `40GB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
    /// Patterns of names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<String>,
    /// Docker's filters, `name=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<String>,
}

/// The directive of programs that are asked of images, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerifiersDirective {
    /// Directory that holds them.
    pub directory: String,
    /// Time that each has: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// True if they are given the credentials for the registry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
}

/// Prunes by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneSchedule {
    /// Time from one to the next.
    pub interval: Duration,
    /// The filters of each, which make a policy when it begins: they may be about moments before that.
    pub filters: Filters,
}
