//! Errors of a configuration.

use std::io;
use std::path::PathBuf;

use api::ApiVersion;
use thiserror::Error;

use super::address::ListenAddressError;
use crate::prune::policy::PolicyError;

/// A directive that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDirective {
    /// The word that the file has.
    pub name: String,
    /// The line of the file that it is in, from 1.
    pub line: usize,
    /// The directive that may have been meant.
    pub meant: Option<String>,
}

fn names(unknown: &[UnknownDirective]) -> String {
    unknown.iter().map(|directive| directive.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl ConfigError {
    /// Returns where the directives are that nobody knows, and which may have been meant: below dockerd's words, which do not
    /// say.
    pub fn advice(&self) -> Option<String> {
        let Self::File { path, source } = self else { return None };
        let Self::Unknown(unknown) = source.as_ref() else { return None };
        let told = unknown.iter().map(|directive| {
            let meant = directive.meant.as_deref();
            let meant = meant.map(|meant| format!(": did you mean {meant:?}?")).unwrap_or_default();
            format!("{:?} stands in line {}{meant}", directive.name, directive.line)
        });
        Some(format!("{}: {}", path.display(), told.collect::<Vec<_>>().join("; ")))
    }
}

/// Fault of a configuration. Texts of faults that dockerd knows are dockerd's.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("unable to configure the Docker daemon with file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file, or the file and the flags together, make no configuration.
    #[error("unable to configure the Docker daemon with file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Fault in it.
        source: Box<ConfigError>,
    },
    /// The file and the flags are each well-formed, and together make no sense.
    #[error("merged configuration validation from file and command line flags failed: {0}")]
    Merged(#[source] Box<ConfigError>),
    /// The file is larger than any that makes sense.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// The file is no JSON object.
    #[error("invalid JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The file has directives that nobody knows.
    #[error("the following directives don't match any configuration option: {}", names(.0))]
    Unknown(Vec<UnknownDirective>),
    /// A directive has a value of another type than its own.
    #[error("invalid JSON: {name} (line {line}): {source}")]
    Type {
        /// Name of the directive.
        name: String,
        /// The line that it is in, from 1.
        line: usize,
        /// Fault of the value.
        source: serde_json::Error,
    },
    /// Directives are in the file and on the command line.
    #[error(
        "the following directives are specified both as a flag and in the configuration file: {}",
        .0.join(", ")
    )]
    Conflict(Vec<String>),
    /// A host to listen on makes no sense.
    #[error(transparent)]
    Host(#[from] ListenAddressError),
    /// A number is out of its range.
    #[error("invalid {name}: {value}")]
    Number {
        /// Name of the number.
        name: &'static str,
        /// The number.
        value: i64,
    },
    /// The log level is none that dockerd knows.
    #[error("invalid logging level: {0}")]
    LogLevel(String),
    /// The log format is neither `text` nor `json`.
    #[error("invalid log format: {0}")]
    LogFormat(String),
    /// A mirror, an insecure registry or a proxy makes no sense.
    #[error(transparent)]
    Registry(registry::RegistryError),
    /// A policy is to hold, and nobody says where it is.
    #[error("invalid image-policy: there is no file")]
    PolicyFile,
    /// The policy is in a directory that depends on who reads the settings.
    #[error("invalid image-policy {}: the path is not absolute", .0.display())]
    PolicyPath(std::path::PathBuf),
    /// Verifiers are to be asked, and nobody says where they are.
    #[error("invalid image-verifiers: there is no directory")]
    VerifierDirectory,
    /// The time for a verifier is none.
    #[error("invalid timeout of image-verifiers: {0}")]
    VerifierTimeout(String),
    /// A label is not `name=value`.
    #[error("bad attribute format: {0}")]
    Label(String),
    /// A label's name is Docker's own.
    #[error(
        "label {0} is not allowed: the namespaces com.docker.*, io.docker.*, and org.dockerproject.* are reserved for \
         internal use"
    )]
    ReservedLabel(String),
    /// Two labels have one name.
    #[error("conflict labels for {0} and {1}")]
    LabelConflict(String, String),
    /// The oldest version to answer is no version, or none that the daemon speaks.
    #[error("invalid minimum API version ({0}): must be between {min} and {max}", min = ApiVersion::MINIMUM, max = ApiVersion::CURRENT)]
    MinApiVersion(String),
    /// The store of containerd was asked for.
    #[error(
        "the feature containerd-snapshotter is not supported: images are kept as dockerd's storage drivers keep them; \
         remove it, or set it to false"
    )]
    Snapshotter,
    /// A protection was asked for that is not here. To serve without it would drop it in silence.
    #[error(
        "{directive} is not supported ({lack}): the daemon does not run without a protection that was asked for; \
         remove the directive, or use a daemon that has it"
    )]
    Protection {
        /// The directive that asks for it.
        directive: &'static str,
        /// The part of it that Longshore does not do.
        lack: &'static str,
    },
    /// An option of the storage driver is none.
    #[error("overlay2: unknown option {0}")]
    StorageOption(String),
    /// An option of the storage driver has no value.
    #[error("unable to parse storage-opt key/value: {0}")]
    StorageOptionSyntax(String),
    /// `graph` and `data-root` name one thing.
    #[error("graph and data-root must not both be specified: graph is the old name of data-root")]
    Graph,
    /// The content that stays is told by another word than those that there are.
    #[error("invalid keep-blobs {0:?}: use all or manifests")]
    KeepBlobs(String),
    /// The policy of prunes by the clock makes no sense.
    #[error("prune: {0}")]
    Prune(#[from] PolicyError),
    /// A filter of prunes by the clock has no value.
    #[error("prune: bad format of filter {0:?} (expected name=value)")]
    PruneFilter(String),
    /// The time between prunes is none, or too short.
    #[error("prune: invalid interval {0:?}: give a time of at least a minute, as in 24h or 7d")]
    PruneInterval(String),
    /// There is no such storage driver.
    #[error("unknown storage driver {0:?}: use overlay2 or packed")]
    StorageDriver(String),
}
