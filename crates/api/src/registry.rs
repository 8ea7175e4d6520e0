//! `GET /longshore/registry/check`, a route of Longshore's own.

use serde::{Deserialize, Serialize};

use crate::verification::Verification;

/// Origin of credentials that came with the request itself: only the client knows more.
pub const GIVEN: &str = "the request";

/// Returns the registry that a name to be checked is; nothing if it is an image. Client and daemon have to agree on it, as
/// credentials are for one registry only.
///
/// What could be both is an image, unless it looks like a host or ends with a slash.
pub fn host(name: &str) -> Option<&str> {
    let bare = name.strip_suffix('/').unwrap_or(name);
    if bare.contains(['/', '@']) {
        return None;
    }
    if bare.len() < name.len() || bare.starts_with('[') {
        return Some(bare);
    }
    // What stands behind the colon of `alpine:3.19` is no port.
    let (host, port) = bare.split_once(':').unwrap_or((bare, "0"));
    let is_host = port.parse::<u16>().is_ok() && (host == "localhost" || host.contains('.'));
    is_host.then_some(bare)
}

/// Endpoints that are asked for something, and the answer of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegistryCheck {
    /// Object of the check: an image with its tag or digest, or a registry.
    pub name: String,
    /// Host of the name, `docker.io` for instance.
    pub registry: String,
    /// The `hosts.toml` that counts for the registry.
    pub hosts_file: Option<String>,
    /// Parts of the file that do nothing.
    pub warnings: Vec<String>,
    /// Endpoints, in the order in which they are asked.
    pub endpoints: Vec<Endpoint>,
    /// Index of the endpoint that says what the name means; none if the name cannot be resolved.
    pub resolver: Option<usize>,
    /// Index of the endpoint that is asked for content first.
    pub provider: Option<usize>,
    /// The judgement of policy and verifiers on the image, where there are any.
    pub verification: Option<Verification>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    /// Address that requests go to.
    pub url: String,
    /// True if another one is asked when it fails.
    pub mirror: bool,
    /// The setting, or file and line, that it is from.
    pub from: String,
    /// Capabilities that it may be asked for: `pull`, `resolve`, `push`.
    pub capabilities: Vec<String>,
    /// Check of its certificate.
    #[serde(rename = "TLS")]
    pub tls: Tls,
    /// The proxy on the way.
    pub proxy: Option<String>,
    /// Names of the headers that its file gives it.
    pub headers: Vec<String>,
    /// Origin of the credentials that it was shown, if any were.
    pub credentials: Option<String>,
    /// Requests that it got, in order.
    pub requests: Vec<Request>,
    /// True if it has the object of the check.
    pub works: bool,
}

/// Check of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tls {
    /// `none` for plain HTTP, `unverified` or `verified`.
    pub mode: String,
    /// Files with authorities besides the system's.
    #[serde(rename = "CA")]
    pub ca: Vec<String>,
    /// Files with client certificates.
    pub client: Vec<String>,
}

/// One request and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Request {
    /// Method and URL.
    pub request: String,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// Error of a request that failed.
    pub error: Option<String>,
    /// Manifest that the answer describes.
    pub found: Option<Found>,
    /// Time from request to answer.
    pub milliseconds: u64,
}

/// Meaning of a name at a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Found {
    /// Hash of the manifest's bytes.
    pub digest: String,
    /// The type.
    pub media_type: String,
    /// In bytes.
    pub size: u64,
}
