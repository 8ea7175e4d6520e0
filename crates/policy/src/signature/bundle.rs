//! Bundles of sigstore, as cosign 3 puts them beside an image: manifests that refer to it, each with one bundle as its layer.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::form::Form;
use super::found::{Signature, SignatureFault};
use super::log::{Entry, Promised};
use super::payload::ENVELOPED;

/// The type of a bundle.
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The annotation of a referrer with what its bundle states of the image.
pub(crate) const PREDICATE: &str = "dev.sigstore.bundle.predicateType";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<Certificate>,
    x509_certificate_chain: Option<Chain>,
    #[serde(default)]
    tlog_entries: Vec<LogEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    log_index: String,
    log_id: LogId,
    integrated_time: Option<String>,
    inclusion_promise: Option<Promise>,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// Reads a bundle.
pub(crate) fn parse(bytes: &[u8]) -> Result<Signature, SignatureFault> {
    let fault = |text: &str| SignatureFault::Bundle(text.to_owned());
    let written: Written =
        serde_json::from_slice(bytes).map_err(|error| SignatureFault::Bundle(error.to_string()))?;
    if written.media_type != BUNDLE {
        return Err(SignatureFault::Bundle(format!("it is of the type {:?}", written.media_type)));
    }
    let Envelope { payload, payload_type, signatures } = written.dsse_envelope;
    let [EnvelopeSignature { sig }] = signatures.as_slice() else {
        return Err(fault("it has not one signature"));
    };
    if payload_type != ENVELOPED {
        return Err(SignatureFault::Bundle(format!("its payload is of the type {payload_type:?}")));
    }
    let Material { certificate, x509_certificate_chain, tlog_entries } =
        written.verification_material;
    let chain = x509_certificate_chain.map(|chain| chain.certificates).unwrap_or_default();
    let certificates = certificate.into_iter().chain(chain);
    let certificates = certificates.map(|certificate| decode(&certificate.raw_bytes));
    // Of several logs one is enough; the first that promises anything is the one.
    let entry = tlog_entries.iter().find_map(|entry| log_entry(entry).transpose()).transpose()?;
    Ok(Signature {
        payload: Bytes::from(decode(&payload)?),
        form: Form::Envelope,
        value: decode(sig)?,
        certificates: certificates.collect::<Result<_, _>>()?,
        entry,
    })
}

/// Reads an entry of a log that promises to have it; others prove it in ways that are not known here.
fn log_entry(written: &LogEntry) -> Result<Option<Entry>, SignatureFault> {
    let (Some(promise), Some(time)) = (&written.inclusion_promise, &written.integrated_time) else {
        return Ok(None);
    };
    let number = |text: &str| {
        text.parse::<u64>().map_err(|error| SignatureFault::Bundle(format!("{text:?}: {error}")))
    };
    let log = decode(&written.log_id.key_id)?;
    let promised = Promised {
        body: written.canonicalized_body.clone(),
        time: number(time)?,
        log: hex(&log),
        index: number(&written.log_index)?,
    };
    Ok(Some(Entry { promise: decode(&promise.signed_entry_timestamp)?, promised }))
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn decode(text: &str) -> Result<Vec<u8>, SignatureFault> {
    STANDARD.decode(text).map_err(|_| SignatureFault::Base64)
}
