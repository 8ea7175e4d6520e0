//! Errors, in the words of docker, whose users know them.

use std::io;
use std::path::PathBuf;

use crate::Role;

/// The cause for which an image is not trusted, or trust in it could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A document is no JSON, or no such document.
    #[error("{0}")]
    Syntax(String),
    /// A document or a certificate is past its time.
    #[error("{role} expired at {at}")]
    Expired {
        /// The role whose document it is.
        role: Role,
        /// The time, in words.
        at: String,
    },
    /// A private key is not among the keys of this user.
    #[error("signing key not found: {0}")]
    KeyNotFound(String),
    /// The server could not be reached.
    #[error("{0}")]
    Network(String),
    /// The server has no such document.
    #[error("{0} trust data unavailable.  Has a notary repository been initialized?")]
    NotFound(String),
    /// The server answers with a failure.
    #[error("{}", unavailable(*.0))]
    Unavailable(u16),
    /// The server answers with more than there can be.
    #[error("trust server returned a bad response.")]
    Malicious,
    /// The server does not take what is published.
    #[error("{}", .0.as_deref().unwrap_or("trust server rejected operation."))]
    Rejected(Option<String>),
    /// A new root is not signed by the keys that are trusted.
    #[error("could not rotate trust to a new trusted root: {0}")]
    Rotation(&'static str),
    /// A root is not one of this repository.
    #[error("could not validate the path to a trusted root: {0}")]
    Root(&'static str),
    /// No key of a role is here.
    #[error(
        "could not find necessary signing keys, at least one of these keys must be available: {}",
        .0.join(", ")
    )]
    NoKeys(Vec<String>),
    /// A document is older than one that was seen before.
    #[error("version {actual} is lower than current version {current}")]
    LowVersion {
        /// The version of the document.
        actual: i64,
        /// The one that was seen.
        current: i64,
    },
    /// Too few of the keys of a role have signed.
    #[error("valid signatures did not meet threshold for {0}")]
    Threshold(Role),
    /// Nobody has signed.
    #[error("tuf: data has no signatures")]
    NoSignatures,
    /// A key is listed under an ID that is another key's.
    #[error("key ID is not valid for key content")]
    KeyId,
    /// The server does not know the repository.
    #[error("{server} does not have trust data for {repository}")]
    NoRepository {
        /// Host and port.
        server: String,
        /// The repository, with its registry.
        repository: String,
    },
    /// Too few keys of a role are here to sign for it.
    #[error("{}", insufficient(*.found, *.needed, .missing))]
    TooFewKeys {
        /// The number of keys that are here.
        found: usize,
        /// The number of keys that must sign.
        needed: usize,
        /// The keys that are not here.
        missing: Vec<String>,
    },
    /// A document contradicts itself.
    #[error("{role} type metadata invalid: {reason}")]
    Metadata {
        /// The role whose document it is.
        role: Role,
        /// The cause.
        reason: String,
    },
    /// A document is not the one that was announced.
    #[error("{algorithm} checksum for {role} did not match: expected {expected}")]
    Checksum {
        /// `sha256` or `sha512`.
        algorithm: &'static str,
        /// The role whose document it is.
        role: Role,
        /// The checksum in hexadecimal digits.
        expected: String,
    },
    /// A document was announced without a checksum.
    #[error("no checksums for supported algorithms were provided for {0}")]
    NoChecksum(Role),
    /// A role is none, or has not what it should have.
    #[error("tuf: invalid role {role}. {reason}")]
    InvalidRole {
        /// The role whose document it is.
        role: Role,
        /// The cause.
        reason: String,
    },
    /// No tag is signed.
    #[error("no signed tags to remove")]
    NothingSigned,
    /// No released tag has this name.
    #[error("No valid trust data for {0}")]
    NoSuchTarget(String),
    /// There are delegations, and no key of any is here.
    #[error("no valid signing keys for delegation roles")]
    NoSignableRole,
    /// A passphrase was given wrongly, or not at all.
    #[error("password invalid, operation has failed.")]
    Passphrase,
    /// No passphrase came for a new key.
    #[error("maximum number of passphrase attempts exceeded")]
    Attempts,
    /// A private key that cannot be used.
    #[error("{0}")]
    Key(String),
    /// A file of the trust directory.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The random numbers of the system are not to be had.
    #[error("no random numbers")]
    Random,
}

fn unavailable(status: u16) -> String {
    match status {
        401 => "you are not authorized to perform this operation: server returned 401.".to_owned(),
        _ => format!("unable to reach trust server at this time: {status}."),
    }
}

fn insufficient(found: usize, needed: usize, missing: &[String]) -> String {
    let count = missing.len();
    let ids = if missing.is_empty() { String::new() } else { format!(" ({})", missing.join(", ")) };
    if found > 0 {
        return format!(
            "not enough signing keys: found {found} of {needed} needed keys - {count} other possible keys{ids}"
        );
    }
    format!("signing keys not available: need {needed} keys from {count} possible keys{ids}")
}

impl TrustError {
    /// Says of what cannot be read where it is.
    pub(crate) fn within(self, place: &str) -> TrustError {
        match self {
            TrustError::Syntax(reason) => TrustError::Syntax(format!("{reason} in {place}")),
            error => error,
        }
    }

    /// Returns what docker says of it, about a repository.
    pub fn about(&self, repository: &str) -> String {
        const SUSPECT: &str = "Warning: potential malicious behavior - trust data";
        match self {
            TrustError::Expired { .. } => {
                format!("Error: remote repository {repository} out-of-date: {self}")
            }
            TrustError::KeyNotFound(_) => {
                format!("Error: signing keys for remote repository {repository} not found: {self}")
            }
            TrustError::Network(_) => format!("Error: error contacting notary server: {self}"),
            TrustError::NotFound(_) => format!(
                "Error: trust data missing for remote repository {repository} or remote repository not found: {self}"
            ),
            TrustError::Rotation(_) | TrustError::Root(_) => {
                format!("{SUSPECT} mismatch for remote repository {repository}: {self}")
            }
            TrustError::NoKeys(_) => format!(
                "Error: could not find signing keys for remote repository {repository}, or could not decrypt signing key: {self}"
            ),
            TrustError::LowVersion { .. } => format!(
                "{SUSPECT} version is lower than expected for remote repository {repository}: {self}"
            ),
            TrustError::Threshold(_) => format!(
                "{SUSPECT} has insufficient signatures for remote repository {repository}: {self}"
            ),
            TrustError::NoRepository { .. } => {
                format!("Error: remote trust data does not exist for {repository}: {self}")
            }
            TrustError::TooFewKeys { .. } => format!(
                "Error: could not produce valid signature for {repository}.  If Yubikey was used, was touch input provided?: {self}"
            ),
            _ => self.to_string(),
        }
    }

    /// Says whether the server has nothing about the repository yet.
    pub fn is_uninitialized(&self) -> bool {
        matches!(self, TrustError::NoRepository { .. })
    }

    /// Says whether the server could not be asked, so that what is kept may serve as long as it is valid.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(
            self,
            TrustError::Network(_) | TrustError::NotFound(_) | TrustError::Unavailable(_)
        )
    }
}
