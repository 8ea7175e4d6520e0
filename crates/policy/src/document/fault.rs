//! Faults of requirements.

use super::identity::IdentityFault;

/// A requirement that contradicts itself, or says too little.
#[derive(Debug, thiserror::Error)]
pub enum RequirementFault {
    /// The authority is named not at all, or twice.
    #[error(
        "exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio and pki must be specified"
    )]
    Authority,
    /// As for the log.
    #[error(
        "at most one of rekorPublicKeyPath, rekorPublicKeyPaths, rekorPublicKeyData and rekorPublicKeyDatas can be specified"
    )]
    Rekor,
    /// A certificate of Fulcio is worth nothing without the time at which it was used.
    #[error("fulcio needs a key of Rekor, by rekorPublicKeyPath or one of its kind")]
    FulcioWithoutRekor,
    /// As containers/image has it: certificates of other authorities are good now or not at all.
    #[error("pki goes without a key of Rekor")]
    PkiWithRekor,
    /// Exactly one of two must be there.
    #[error("exactly one of {0} must be specified")]
    OneOf(&'static str),
    /// A list without entries.
    #[error("{0} has no entries")]
    NoEntries(&'static str),
    /// A text without letters, or none at all.
    #[error("{0} must be specified")]
    Missing(&'static str),
    /// A text that is not base64.
    #[error("{0} is not base64")]
    Base64(&'static str),
    /// An identity is not well-formed.
    #[error("signedIdentity: {0}")]
    Identity(#[from] IdentityFault),
}
