//! Faults of private keys.

use std::io;
use std::path::PathBuf;

/// A private key that cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum PrivateKeyFault {
    /// Its file cannot be read.
    #[error("key {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// There is none in the file.
    #[error("there is no private key in PEM")]
    Pem,
    /// A form that is not read.
    #[error(
        "a key in the form \"{0}\" is not read; `openssl pkcs8 -topk8 -nocrypt` makes one that is"
    )]
    Form(String),
    /// It is encrypted and nobody said how.
    #[error("the key is encrypted, and there is no passphrase")]
    NoPassphrase,
    /// The passphrase is wrong, or the file is damaged.
    #[error("the key cannot be decrypted: the passphrase is wrong")]
    Passphrase,
    /// The encryption is one that cosign has not.
    #[error("the key is encrypted in a way that is not known: {0}")]
    Encryption(&'static str),
    /// It cannot be read, or is of a kind that nobody verifies.
    #[error("the key cannot be used: neither ECDSA with P-256, nor RSA, nor Ed25519 ({0})")]
    Kind(String),
    /// The system has no random numbers, or the key does not fit itself.
    #[error("the key cannot sign")]
    Sign,
}
