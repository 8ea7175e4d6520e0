//! Signed manifests of schema 1: JSON documents with signatures (JWS) in a field of their own, over the bytes before it.
//!
//! ```text
//! {…the manifest            , "signatures": [ { "header": …, "signature": …, "protected": … } ] }
//! └─ formatLength bytes ─┘ + formatTail = the payload, which is signed and whose digest is the manifest's
//! ```
//!
//! Registries sign anew what they send, with keys of their own. So a good signature says that nobody has changed the document on its
//! way, and nothing of who made it: what an image must not be is for its digest to say.

mod encoding;
pub(crate) mod error;
mod key;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::Deserialize;

use encoding::decode;
use error::{MAX_SIGNATURES, SignatureError};
pub use key::SigningKey;
use key::{Jwk, PublicKey};

#[derive(Deserialize)]
struct Document {
    signatures: Option<Vec<Signature>>,
}

#[derive(Deserialize)]
struct Signature {
    header: Header,
    #[serde(rename = "signature")]
    bytes: String,
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
    // Without the beginning and the end of an object the signature would be of something else than this document.
    if signed.first() != Some(&b'{') || tail.trim_ascii() != b"}" {
        return Err(SignatureError::Part);
    }
    let payload = [signed, &tail].concat();
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(&payload);
    for Signature { header, bytes, protected } in &signatures {
        let signature = decode(bytes, "signature")?;
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

/// Fuzz target: what is signed is the beginning of the document, and the end of an object.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(signed) = verify(data) else { return };
    let same = signed.iter().zip(data).take_while(|(one, other)| one == other).count();
    assert!(same > 0 && signed.len() < data.len() * 2);
    assert!(signed.trim_ascii_end().ends_with(b"}"));
}

#[cfg(test)]
mod tests;
