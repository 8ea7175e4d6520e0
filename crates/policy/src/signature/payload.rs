//! The statement that is signed: that a manifest is the image of a name (cosign's "simple signing").

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use spec::{Digest, DigestError};

use super::form::Form;
use crate::object::{Object, object};

/// The statement that somebody has signed it. Others are about its content: SBOMs, provenance.
pub(crate) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// The type of the payload of an envelope.
pub(crate) const ENVELOPED: &str = "application/vnd.in-toto+json";
/// The version of in-toto's statements that is known.
const IN_TOTO: &str = "https://in-toto.io/Statement/v1";
/// The type of a statement on an image.
const TYPE: &str = "cosign container image signature";

/// A fault of a statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadFault {
    #[error("what is signed is no statement on an image: {0}")]
    Form(#[from] serde_json::Error),
    #[error("what is signed is of the type {0:?}")]
    Type(String),
    #[error("what is signed is about {0} digests, and not one")]
    Subjects(usize),
    #[error("what is signed names no digest: {0}")]
    Digest(#[from] DigestError),
}

/// The content of a statement of any form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) digest: Digest,
    /// Name of the image; bundles have none.
    pub(crate) name: Option<String>,
}

/// A statement of in-toto.
#[derive(Deserialize)]
struct InToto {
    #[serde(rename = "_type")]
    version: String,
    subject: Vec<Object<Subject>>,
    #[serde(rename = "predicateType")]
    predicate: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

impl Statement {
    pub(crate) fn parse(form: Form, bytes: &[u8]) -> Result<Self, PayloadFault> {
        if form == Form::Simple {
            let Payload { digest, reference } = Payload::parse(bytes)?;
            return Ok(Self { digest, name: Some(reference) });
        }
        let Object(InToto { version, subject, predicate }) = serde_json::from_slice(bytes)?;
        if version != IN_TOTO {
            return Err(PayloadFault::Type(version));
        }
        if predicate != SIGNED {
            return Err(PayloadFault::Type(predicate));
        }
        let [Object(Subject { digest })] = subject.as_slice() else {
            return Err(PayloadFault::Subjects(subject.len()));
        };
        let mut digests = digest.iter().map(|(kind, hex)| format!("{kind}:{hex}").parse());
        match (digests.next(), digests.next()) {
            (Some(digest), None) => Ok(Self { digest: digest?, name: None }),
            _ => Err(PayloadFault::Subjects(digest.len())),
        }
    }
}

/// A statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) digest: Digest,
    /// Name of an image, as whoever signed it wrote it.
    pub(crate) reference: String,
}

#[derive(Serialize)]
struct Written {
    critical: Critical,
    /// Nothing, which cosign writes as null.
    optional: (),
}

/// The part that is read; the optional one is nobody's business.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(deserialize_with = "object")]
    critical: Critical,
    #[serde(rename = "optional", default)]
    _optional: Option<IgnoredAny>,
}

/// In the order in which cosign writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(deserialize_with = "object")]
    identity: Identity,
    #[serde(deserialize_with = "object")]
    image: Image,
    r#type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Image {
    docker_manifest_digest: String,
}

impl Payload {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, PayloadFault> {
        let Object(Read { critical, .. }) = serde_json::from_slice(bytes)?;
        if critical.r#type != TYPE {
            return Err(PayloadFault::Type(critical.r#type));
        }
        let digest = critical.image.docker_manifest_digest.parse()?;
        Ok(Self { digest, reference: critical.identity.docker_reference })
    }

    /// Writes the statement as cosign does.
    pub(crate) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let identity = Identity { docker_reference: self.reference.clone() };
        let image = Image { docker_manifest_digest: self.digest.to_string() };
        let critical = Critical { identity, image, r#type: TYPE.to_owned() };
        serde_json::to_vec(&Written { critical, optional: () })
    }
}

/// Returns the bytes that are signed of an envelope with an in-toto statement (DSSE's pre-authentication encoding).
pub(crate) fn envelope(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {ENVELOPED} {} ", ENVELOPED.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::sha256(b"manifest")
    }

    #[test]
    fn a_statement_is_written_as_cosign_does() {
        let payload = Payload { digest: digest(), reference: "r.example/app".to_owned() };
        let written = payload.write().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&written),
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"r.example/app"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
                digest()
            )
        );
        assert_eq!(Payload::parse(&written).unwrap(), payload);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let critical = |image: &str| {
            format!(
                r#""critical":{{"identity":{{"docker-reference":"a"}},"image":{{{image}}},"type":"cosign container image signature"}}"#
            )
        };
        let digest = format!(r#""docker-manifest-digest":"{}""#, digest());
        let good =
            format!(r#"{{{},"optional":{{"creator":"x","timestamp":1}}}}"#, critical(&digest));
        Payload::parse(good.as_bytes()).unwrap();
        for (text, expected) in [
            ("{}".to_owned(), "missing field `critical`"),
            (format!("{{{},\"x\":1}}", critical(&digest)), "unknown field `x`"),
            (format!("{{{0},{0}}}", critical(&digest)), "duplicate field `critical`"),
            (
                format!("{{{}}}", critical(&format!("{digest},{digest}"))),
                "duplicate field `docker-manifest-digest`",
            ),
            (format!("{{{}}}", critical(r#""docker-manifest-digest":"x""#)), "names no digest"),
            (good.replace("cosign c", "atomic c"), "\"atomic container image signature\""),
            (format!("{good}{good}"), "trailing characters"),
            (format!("[[{digest:?}]]"), "expected an object"),
            (good.replace("{\"docker-reference\":\"a\"}", "[\"a\"]"), "expected an object"),
            (good[..good.len() - 1].to_owned(), "EOF"),
        ] {
            let told = Payload::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
