//! Rekor's word that it has a signature: a promise, signed over the entry and the time (SET).
//!
//! The log is not asked. Whoever holds its key has said that the entry is in it, which says when the signature was there at the latest.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use spec::Digest;

use super::form::Form;
use crate::key::{PublicKey, pem};

/// The place of a signature in a log, as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) promise: Vec<u8>,
    pub(crate) promised: Promised,
}

/// The part that is signed, in the order of canonical JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promised {
    /// The entry, in base64.
    pub(crate) body: String,
    #[serde(rename = "integratedTime")]
    pub(crate) time: u64,
    #[serde(rename = "logID")]
    pub(crate) log: String,
    #[serde(rename = "logIndex")]
    pub(crate) index: u64,
}

/// The annotation `dev.sigstore.cosign/bundle`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotation {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    #[serde(rename = "Payload")]
    promised: Promised,
}

/// The signature that an entry must be of.
pub(crate) struct Logged<'a> {
    pub(crate) signed: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// The key or certificate, in DER.
    pub(crate) verifier: &'a [u8],
    pub(crate) form: Form,
}

/// The reason not to believe that a log has a signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogFault {
    #[error("no log promises to have it")]
    None,
    #[error("the promise of a log cannot be read: {0}")]
    Form(String),
    #[error("the promise is not of a trusted log")]
    Stranger,
    #[error("what the log has is another {0}")]
    Other(&'static str),
}

impl Entry {
    /// Reads the annotation in which cosign keeps an entry.
    pub(crate) fn of_annotation(text: &str) -> Result<Self, LogFault> {
        let Annotation { promise, promised } = serde_json::from_str(text).map_err(unreadable)?;
        let promise = STANDARD.decode(promise).map_err(unreadable)?;
        Ok(Self { promise, promised })
    }
}

fn unreadable(fault: impl std::fmt::Display) -> LogFault {
    LogFault::Form(fault.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spec {
    Hashed(Hashed),
    Envelope(Envelope),
}

/// `hashedrekord`
#[derive(Deserialize)]
struct Hashed {
    data: Data,
    signature: Content,
}

#[derive(Deserialize)]
struct Data {
    hash: Hash,
}

#[derive(Deserialize, PartialEq)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    content: String,
    public_key: Verifier,
}

#[derive(Deserialize)]
struct Verifier {
    content: String,
}

/// `dsse`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_hash: Hash,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    signature: String,
    verifier: String,
}

/// Returns the time at which a log took a signature.
pub(crate) fn check(
    entry: Option<&Entry>,
    logs: &[PublicKey],
    logged: &Logged<'_>,
) -> Result<Duration, LogFault> {
    let Entry { promise, promised } = entry.ok_or(LogFault::None)?;
    let canonical = serde_json::to_vec(promised).map_err(unreadable)?;
    if !logs.iter().any(|log| log.vouches_for(&canonical, promise)) {
        return Err(LogFault::Stranger);
    }
    let body = STANDARD.decode(&promised.body).map_err(unreadable)?;
    let body: Body = serde_json::from_slice(&body).map_err(unreadable)?;
    let (hash, hashed, signature, verifier) = match (logged.form, &body.spec) {
        (Form::Simple, Spec::Hashed(Hashed { data, signature })) if body.kind == "hashedrekord" => {
            (&data.hash, logged.signed, &signature.content, &signature.public_key.content)
        }
        (Form::Envelope, Spec::Envelope(envelope)) if body.kind == "dsse" => {
            let [signature] = envelope.signatures.as_slice() else {
                return Err(LogFault::Other("number of signatures"));
            };
            (&envelope.payload_hash, logged.payload, &signature.signature, &signature.verifier)
        }
        _ => return Err(LogFault::Other("kind of entry")),
    };
    if body.api_version != "0.0.1" {
        return Err(LogFault::Other("version of entries"));
    }
    let expected = Hash { algorithm: "sha256".to_owned(), value: Digest::sha256(hashed).hex() };
    if *hash != expected {
        return Err(LogFault::Other("payload"));
    }
    if STANDARD.decode(signature).map_err(unreadable)? != logged.signature {
        return Err(LogFault::Other("signature"));
    }
    let verifier = STANDARD.decode(verifier).map_err(unreadable)?;
    if pem::first(&verifier).is_none_or(|block| block.content != logged.verifier) {
        return Err(LogFault::Other("key"));
    }
    Ok(Duration::from_secs(promised.time))
}
