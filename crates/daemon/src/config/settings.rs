//! Types of settings, and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::address::ListenAddress;
use super::proxies::Proxies;

/// The group of the socket unless another is named.
pub(super) const DEFAULT_GROUP: &str = "docker";
/// Time for requests that run after the daemon was told to stop; dockerd's value. What is cut off is not
/// lost: the next pull goes on where it was.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);
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
