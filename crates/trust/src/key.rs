//! Public keys: their IDs, and the signatures that they verify.

use std::sync::OnceLock;

use jiff::Timestamp;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate as X509;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::bytes::{Bytes, hex};
use crate::canonical::Value;

pub(crate) const ECDSA: &str = "ecdsa";
pub(crate) const RSA: &str = "rsa";
const ECDSA_X509: &str = "ecdsa-x509";
const RSA_X509: &str = "rsa-x509";
const ED25519: &str = "ed25519";

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Signatures of certificates that count for nothing: RSA, ECDSA and DSA, each with SHA-1.
const SHA1: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"),
];

/// A public key, as documents have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublicKey {
    keytype: String,
    keyval: KeyPair,
    #[serde(skip)]
    id: OnceLock<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeyPair {
    /// Private keys are never in documents; the member is part of what IDs are made of.
    private: Option<Bytes>,
    public: Bytes,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.keytype == other.keytype && self.keyval.public == other.keyval.public
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    pub(crate) fn new(kind: &str, public: Vec<u8>) -> PublicKey {
        let keyval = KeyPair { private: None, public: Bytes(public) };
        PublicKey { keytype: kind.to_owned(), keyval, id: OnceLock::new() }
    }

    /// Returns the key with its certificate, in which the role of roots lists it.
    pub(crate) fn of_certificate(pem: &str, kind: &str) -> PublicKey {
        let kind = if kind == RSA { RSA_X509 } else { ECDSA_X509 };
        PublicKey::new(kind, pem.as_bytes().to_vec())
    }

    /// Reads a public key or a certificate from a PEM file.
    pub fn from_pem(text: &[u8], now: Timestamp) -> Result<PublicKey, String> {
        let block = pem::parse(text).map_err(|_| "no valid public key found".to_owned())?;
        match block.tag() {
            "CERTIFICATE" => {
                let certificate = Certificate::from_der(block.contents())
                    .ok_or("could not parse provided certificate: it is malformed")?;
                certificate
                    .check(Some(now))
                    .map_err(|reason| format!("invalid certificate: {reason}"))?;
                let kind = match certificate.key.algorithm_oid() {
                    Some(RSA_ENCRYPTION) => RSA,
                    _ => ECDSA,
                };
                let text = pem_text("CERTIFICATE", block.contents(), &[]);
                Ok(PublicKey::of_certificate(&text, kind))
            }
            "PUBLIC KEY" => {
                let der = block.contents().to_vec();
                let key = SubjectPublicKeyInfoRef::from_der(&der)
                    .map_err(|error| format!("unable to parse pem encoded public key: {error}"))?;
                let kind = match key.algorithm.oid {
                    EC_PUBLIC_KEY => ECDSA,
                    RSA_ENCRYPTION => RSA,
                    _ => return Err("unknown public key format".to_owned()),
                };
                Ok(PublicKey::new(kind, der))
            }
            other => Err(format!(
                "unsupported PEM block type {other:?}, expected CERTIFICATE or PUBLIC KEY"
            )),
        }
    }

    /// Returns the key as a file for whoever lets its owner sign.
    pub fn to_pem(&self, role: &str) -> String {
        pem_text("PUBLIC KEY", self.public(), &[("role", role)])
    }

    /// Returns the bytes of the key.
    pub(crate) fn public(&self) -> &[u8] {
        &self.keyval.public.0
    }

    /// Returns the ID that documents list it under.
    pub fn id(&self) -> String {
        let make = || {
            let bare = PublicKey::new(&self.keytype, self.public().to_vec());
            // Cannot fail: a key is a few texts.
            let text = Value::of(&bare).map(|value| value.canonical()).unwrap_or_default();
            hex(ring::digest::digest(&ring::digest::SHA256, &text).as_ref())
        };
        self.id.get_or_init(make).clone()
    }

    /// Returns the ID of the key without its certificate, which its private half is known by. Nothing for a certificate
    /// that cannot be read.
    pub fn canonical_id(&self) -> Option<String> {
        let plain = match self.keytype.as_str() {
            ECDSA_X509 => ECDSA,
            RSA_X509 => RSA,
            _ => return Some(self.id()),
        };
        let certificate = self.certificates()?.into_iter().next()?;
        Some(PublicKey::new(plain, certificate.key.0).id())
    }

    /// Returns the certificates of a key that has some; nothing if one is malformed.
    pub(crate) fn certificates(&self) -> Option<Vec<Certificate>> {
        let blocks = pem::parse_many(self.public()).ok()?;
        let certificate = |block: &pem::Pem| match block.tag() {
            "CERTIFICATE" => Certificate::from_der(block.contents()),
            _ => None,
        };
        let found: Option<Vec<_>> = blocks.iter().map(certificate).collect();
        found.filter(|found| !found.is_empty())
    }

    /// Says whether a signature over a message is this key's.
    pub(crate) fn verifies(&self, method: &str, message: &[u8], signature: &[u8]) -> bool {
        let of_certificate = || self.certificates()?.into_iter().next().map(|found| found.key);
        let key = match (method, self.keytype.as_str()) {
            ("eddsa", ED25519) => {
                return verified(&signature::ED25519, self.public(), message, signature);
            }
            ("ecdsa", ECDSA) | ("rsapss" | "rsapkcs1v15", RSA) => {
                Some(KeyInfo(self.public().to_vec()))
            }
            ("ecdsa", ECDSA_X509) | ("rsapss" | "rsapkcs1v15", RSA_X509) => of_certificate(),
            _ => None,
        };
        key.is_some_and(|key| key.verifies(method, message, signature))
    }
}

fn verified(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

/// A public key with its algorithm, in DER.
#[derive(Clone, Debug)]
pub(crate) struct KeyInfo(pub(crate) Vec<u8>);

impl KeyInfo {
    fn parsed(&self) -> Option<SubjectPublicKeyInfoRef<'_>> {
        SubjectPublicKeyInfoRef::from_der(&self.0).ok()
    }

    fn algorithm_oid(&self) -> Option<ObjectIdentifier> {
        self.parsed().map(|key| key.algorithm.oid)
    }

    fn verifies(&self, method: &str, message: &[u8], signature: &[u8]) -> bool {
        let Some(info) = self.parsed() else { return false };
        let Some(key) = info.subject_public_key.as_bytes() else { return false };
        let curve = || info.algorithm.parameters_oid().ok();
        match (method, info.algorithm.oid) {
            ("ecdsa", EC_PUBLIC_KEY) => match curve() {
                Some(P256) => {
                    verified(&signature::ECDSA_P256_SHA256_FIXED, key, message, signature)
                }
                // ring has the two numbers of this curve only in DER where the hash is SHA-256.
                Some(P384) => der_signature(signature, 48).is_some_and(|signature| {
                    verified(&signature::ECDSA_P384_SHA256_ASN1, key, message, &signature)
                }),
                _ => false,
            },
            ("rsapss", RSA_ENCRYPTION) => {
                verified(&signature::RSA_PSS_2048_8192_SHA256, key, message, signature)
            }
            ("rsapkcs1v15", RSA_ENCRYPTION) => {
                verified(&signature::RSA_PKCS1_2048_8192_SHA256, key, message, signature)
            }
            _ => false,
        }
    }
}

/// Returns the two numbers of an ECDSA signature, of so many bytes each, in DER.
fn der_signature(fixed: &[u8], size: usize) -> Option<Vec<u8>> {
    if fixed.len() != 2 * size {
        return None;
    }
    let number = |bytes: &[u8]| {
        let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len() - 1);
        let digits = &bytes[first..];
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        tlv(0x02, &[sign, digits])
    };
    let (r, s) = fixed.split_at(size);
    Some(tlv(0x30, &[&number(r), &number(s)]))
}

/// Returns PEM with those headers that have a value, of one line each. Notary writes colons in them, which the library that
/// reads them does not write.
pub(crate) fn pem_text(tag: &str, der: &[u8], headers: &[(&str, &str)]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = pem::encode_config(&pem::Pem::new(tag, der), config);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let said = headers.iter().filter(|(_, value)| !value.is_empty());
    let mut lines: Vec<String> = said.map(|(name, value)| format!("{name}: {value}")).collect();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.insert(0, first.to_owned());
    lines.push(rest.to_owned());
    lines.join("\n")
}

/// Returns a value of DER with its tag and length.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = value.len().to_be_bytes();
    let digits = &length[length.iter().position(|&byte| byte != 0).unwrap_or(length.len() - 1)..];
    let mut out = vec![tag];
    if value.len() >= 0x80 {
        // Fewer than nine digits of 256.
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
    }
    out.extend_from_slice(digits);
    out.extend_from_slice(&value);
    out
}

/// A certificate of a root's key, as far as it is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) common_name: String,
    pub(crate) is_authority: bool,
    pub(crate) key: KeyInfo,
    not_before: i64,
    not_after: i64,
    has_weak_signature: bool,
}

impl Certificate {
    fn from_der(der: &[u8]) -> Option<Certificate> {
        Certificate::of(&X509::from_der(der).ok()?)
    }

    fn of(certificate: &X509) -> Option<Certificate> {
        let fields = certificate.tbs_certificate();
        let names = fields.subject().iter().filter(|name| name.oid == COMMON_NAME);
        let common_name = match names.last() {
            // Only kinds of text that are plain bytes in DER.
            Some(name)
                if matches!(
                    name.value.tag(),
                    Tag::Utf8String | Tag::PrintableString | Tag::Ia5String
                ) =>
            {
                String::from_utf8(name.value.value().to_vec()).ok()?
            }
            Some(_) => return None,
            None => String::new(),
        };
        let seconds =
            |time: &x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
        let constraints = fields.get_extension::<BasicConstraints>().ok()?;
        let key = fields.subject_public_key_info().to_der().ok()?;
        Some(Certificate {
            common_name,
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            key: KeyInfo(key),
            not_before: seconds(&fields.validity().not_before)?,
            not_after: seconds(&fields.validity().not_after)?,
            has_weak_signature: SHA1.contains(&certificate.signature_algorithm().oid),
        })
    }

    /// Checks that it can be relied on, and, if a time is given, that it is in time: as with notary it may begin a day
    /// later, for clocks that are not right.
    pub(crate) fn check(&self, now: Option<Timestamp>) -> Result<(), String> {
        const DAY: i64 = 24 * 60 * 60;
        if self.not_before > self.not_after {
            return Err("certificate validity window is invalid".to_owned());
        }
        let name = &self.common_name;
        if self.has_weak_signature {
            return Err(format!(
                "certificate with CN {name} uses invalid SHA1 signature algorithm"
            ));
        }
        match now.map(Timestamp::as_second) {
            Some(now) if now + DAY < self.not_before || now > self.not_after => {
                Err(format!("certificate with CN {name} is expired"))
            }
            _ => Ok(()),
        }
    }

    /// Says whether it is for a repository: by its name, or a beginning of it with a star.
    pub(crate) fn is_for(&self, repository: &str) -> bool {
        match self.common_name.strip_suffix('*') {
            Some(prefix) => repository.starts_with(prefix.trim_end_matches('*')),
            None => self.common_name == repository,
        }
    }
}
