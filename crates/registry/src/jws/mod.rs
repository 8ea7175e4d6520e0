//! Signed manifests of schema 1: JSON documents with signatures (JWS) in a field of their own, over the bytes before it.
//!
//! ```text
//! {…the manifest            , "signatures": [ { "header": …, "signature": …, "protected": … } ] }
//! └─ formatLength bytes ─┘ + formatTail = the payload, which is signed and whose digest is the manifest's
//! ```
//!
//! Registries sign anew what they send, with keys of their own. So a good signature says that nobody has changed the document on its
//! way, and nothing of who made it: what an image must not be is for its digest to say.

mod key;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::Deserialize;
use spec::go::quoted;

pub use key::SigningKey;
use key::{Jwk, PublicKey};

/// The most signatures of a manifest. Registries put one, and the bound keeps a hostile one from costing time.
const MAX_SIGNATURES: usize = 16;

/// As Go's decoder with the padding that its callers put there: with or without, and whatever the last bits are.
const URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

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
    /// What a signature says of the document cannot be read.
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

#[derive(Deserialize)]
struct Document {
    signatures: Option<Vec<Signature>>,
}

#[derive(Deserialize)]
struct Signature {
    header: Header,
    signature: String,
    protected: String,
}

#[derive(Deserialize)]
struct Header {
    jwk: Option<Jwk>,
    alg: String,
    x5c: Option<Vec<String>>,
}

/// The place of the signed bytes in the document.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

/// Checks all signatures of a document, of which there must be one, and returns the bytes that they are over.
pub(crate) fn verify(document: &[u8]) -> Result<Bytes, SignatureError> {
    let parsed: Document = serde_json::from_slice(document).map_err(SignatureError::Document)?;
    let signatures = parsed.signatures.unwrap_or_default();
    if signatures.len() > MAX_SIGNATURES {
        return Err(SignatureError::TooMany(signatures.len()));
    }
    let mut place: Option<(usize, Vec<u8>)> = None;
    for signature in &signatures {
        let protected = decode(&signature.protected, "protected")?;
        let protected: Protected =
            serde_json::from_slice(&protected).map_err(SignatureError::Protected)?;
        let (length, tail) =
            (protected.format_length, decode(&protected.format_tail, "formatTail")?);
        match &place {
            None => place = Some((length, tail)),
            Some((other, _)) if *other != length => return Err(SignatureError::Lengths),
            Some((_, other)) if *other != tail => return Err(SignatureError::Tails),
            Some(_) => {}
        }
    }
    let (length, tail) = place.ok_or(SignatureError::Unsigned)?;
    let signed = document.get(..length).ok_or(SignatureError::Length)?;
    if std::str::from_utf8(signed).is_err() {
        return Err(SignatureError::Letter);
    }
    let payload = [signed, &tail].concat();
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(&payload);
    for Signature { header, signature, protected } in &signatures {
        let signature = decode(signature, "signature")?;
        let message = format!("{protected}.{encoded}");
        header.key()?.verify(&header.alg, message.as_bytes(), &signature)?;
    }
    Ok(payload.into())
}

impl Header {
    /// Returns the key that the signature was made with, which says nothing of whose it is: a chain of certificates is not followed.
    fn key(&self) -> Result<PublicKey, SignatureError> {
        if let Some(first) = self.x5c.as_ref().and_then(|chain| chain.first()) {
            let certificate =
                BASE64_STANDARD.decode(first).map_err(|_| SignatureError::Base64("x5c"))?;
            return PublicKey::of_certificate(&certificate);
        }
        self.jwk.as_ref().ok_or(SignatureError::NoKey)?.key()
    }
}

/// Decodes a text in which, as in Docker's library, blanks and ends of lines play no part.
fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, SignatureError> {
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '\n')).collect();
    URL.decode(text).map_err(|_| SignatureError::Base64(what))
}

#[cfg(test)]
mod tests;
