//! Faults of settings: mirrors, insecure registries, proxies, certificates, `hosts.toml`.

use std::{io, path::PathBuf};

use super::redact::quoted;

/// A fault of the settings, in dockerd's words where it has some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A mirror is not a URL.
    #[error("invalid mirror: no scheme specified for {}: must use either 'https://' or 'http://'", quoted(.mirror))]
    MirrorWithoutScheme {
        /// The mirror as configured.
        mirror: String,
    },
    /// A mirror's URL cannot be parsed.
    #[error("invalid mirror: {} is not a valid URI: {reason}", quoted(.mirror))]
    MirrorSyntax {
        /// The mirror as configured.
        mirror: String,
        /// The fault in it.
        reason: String,
    },
    /// A mirror has a scheme that registries do not speak.
    #[error("invalid mirror: unsupported scheme {} in {}: must use either 'https://' or 'http://'", quoted(.scheme), quoted(.mirror))]
    MirrorScheme {
        /// The part before `://`.
        scheme: String,
        /// The mirror as configured.
        mirror: String,
    },
    /// A mirror has a query or a fragment.
    #[error("invalid mirror: query or fragment at end of the URI {}", quoted(.mirror))]
    MirrorQuery {
        /// The mirror as configured.
        mirror: String,
    },
    /// A mirror has a user name.
    #[error("invalid mirror: username/password not allowed in URI {}", quoted(.mirror))]
    MirrorUser {
        /// The mirror without the password.
        mirror: String,
    },
    /// An insecure registry begins or ends with a hyphen.
    #[error("invalid index name ({name}). Cannot begin or end with a hyphen")]
    InsecureHyphen {
        /// The entry as configured.
        name: String,
    },
    /// An insecure registry has a scheme other than HTTP's.
    #[error("insecure registry {name} should not contain '://'")]
    InsecureScheme {
        /// The entry as configured.
        name: String,
    },
    /// An insecure registry is neither a host nor a network.
    #[error("insecure registry {name} is not valid: invalid host {}", quoted(.host))]
    InsecureHost {
        /// The entry as configured.
        name: String,
        /// The part that is wrong.
        host: String,
    },
    /// An insecure registry has a port that does not exist.
    #[error("insecure registry {name} is not valid: invalid port {}", quoted(.port))]
    InsecurePort {
        /// The entry as configured.
        name: String,
        /// The part that is wrong.
        port: String,
    },
    /// A registry of `allow-nondistributable-artifacts` has a scheme.
    #[error("allow-nondistributable-artifacts registry {name} should not contain '://'")]
    ArtifactsScheme {
        /// The entry as configured.
        name: String,
    },
    /// A registry of `allow-nondistributable-artifacts` is neither a host nor a network.
    #[error("allow-nondistributable-artifacts registry {name} is not valid: invalid {part} {}", quoted(.text))]
    ArtifactsInvalid {
        /// The entry as configured.
        name: String,
        /// The part with the fault: `host` or `port`.
        part: &'static str,
        /// The part that is wrong.
        text: String,
    },
    /// A proxy's address cannot be used.
    #[error("invalid proxy address `{address}`: {reason}")]
    Proxy {
        /// The address without user name and password.
        address: String,
        /// The fault in it.
        reason: String,
    },
    /// A certificate directory or file could not be read.
    #[error("read `{path}`: {source}", path = path.display())]
    ReadCertificates {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A client certificate without its key.
    #[error(
        "missing key {key} for client certificate {certificate}. CA certificates must use the extension .crt"
    )]
    MissingKey {
        /// Name of the key file.
        key: String,
        /// Name of the certificate file.
        certificate: String,
    },
    /// A client key without its certificate.
    #[error("missing client certificate {certificate} for key {key}")]
    MissingCertificate {
        /// Name of the certificate file.
        certificate: String,
        /// Name of the key file.
        key: String,
    },
    /// A file that should hold a certificate or a key does not.
    #[error("tls: `{path}`: {reason}", path = path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        reason: String,
    },
    /// A `hosts.toml` could not be read.
    #[error("read `{path}`: {source}", path = path.display())]
    ReadHosts {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A `hosts.toml` makes no sense. What it is has been told by line and key, never by value.
    #[error("`{path}`:{line}: {reason}", path = path.display())]
    HostsFile {
        /// The file.
        path: PathBuf,
        /// The line in the file, from 1.
        line: usize,
        /// The fault in it.
        reason: String,
    },
    /// A `hosts.toml` leaves nobody to ask for something.
    #[error("no host in `{path}` may {need} for registry `{registry}`: see `capabilities`", path = path.display())]
    NoHost {
        /// The file.
        path: PathBuf,
        /// `pull`, `resolve` or `push`.
        need: String,
        /// Host and port, as in an image's name.
        registry: String,
    },
}
