//! Faults of the signatures of manifests.

use spec::go::quoted;

/// The most signatures of a manifest. Registries put one, and the bound keeps a hostile one from costing time.
pub(super) const MAX_SIGNATURES: usize = 16;

/// A fault of the signatures of a manifest, in the words of Docker's library where it has some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The document is not JSON, or a field has another type.
    #[error("error unmarshalling signatures: {0}")]
    Document(serde_json::Error),
    /// Nobody has signed it.
    #[error("missing signatures")]
    Unsigned,
    /// More signatures than are looked at.
    #[error("{0} signatures, more than the {MAX_SIGNATURES} that are allowed")]
    TooMany(usize),
    /// Something is no base64.
    #[error("base64 decode error of `{0}`")]
    Base64(&'static str),
    /// The words of a signature on the document cannot be read.
    #[error("error unmarshalling protected header: {0}")]
    Protected(serde_json::Error),
    /// Two signatures are over different lengths.
    #[error("conflicting format length")]
    Lengths,
    /// Two signatures are over different ends.
    #[error("conflicting format tail")]
    Tails,
    /// More bytes are signed than there are.
    #[error("invalid format length")]
    Length,
    /// The signed bytes are not the beginning of the document with the end of an object.
    #[error("invalid format length: what is signed is not this document")]
    Part,
    /// The signed bytes end within a letter.
    #[error("invalid format length: it ends within a letter")]
    Letter,
    /// A signature comes without the key that it was made with.
    #[error("missing public key")]
    NoKey,
    /// A key cannot be read, or is of a kind that nobody signs with.
    #[error("error unmarshalling public key: {0}")]
    Key(&'static str),
    /// A key says another name than it has.
    #[error("JWK Public Key ID does not match: {}", quoted(.0))]
    KeyId(String),
    /// A key does not go with the algorithm.
    #[error("unable to verify signature: {key} Public Key does not support signature algorithm {}", quoted(.algorithm))]
    Algorithm {
        /// The kind of the key.
        key: &'static str,
        /// The algorithm that is said.
        algorithm: String,
    },
    /// The signature is not one of the key over the bytes.
    #[error("invalid signature")]
    Signature,
    /// The key to sign with is none.
    #[error("unable to decode private key JWK")]
    PrivateKey,
    /// The system gives no random numbers.
    #[error("error producing signature")]
    Random,
}
