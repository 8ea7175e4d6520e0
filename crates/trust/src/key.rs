//! Public keys: their IDs, and the signatures that they verify.

use std::sync::OnceLock;

use jiff::Timestamp;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate as X509;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Header, SliceReader, Tag, Tagged, asn1::UintRef};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::bytes::{Bytes, hex};
use crate::canonical::Value;

pub(crate) const ECDSA: &str = "ecdsa";
pub(crate) const RSA: &str = "rsa";
const ECDSA_X509: &str = "ecdsa-x509";
const RSA_X509: &str = "rsa-x509";
const ED25519: &str = "ed25519";

pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(crate) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// The bytes of a number of the field of P-521.
pub(crate) const P521_FIELD: usize = 66;
/// The shortest RSA keys of certificates, and those whose signatures count.
const MIN_RSA: usize = 2048;
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
    /// Of a certificate, which is read once, however often it is listed.
    #[serde(skip)]
    canonical: OnceLock<Option<String>>,
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
        let (id, canonical) = (OnceLock::new(), OnceLock::new());
        PublicKey { keytype: kind.to_owned(), keyval, id, canonical }
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
                    EC_PUBLIC_KEY => match key.algorithm.parameters_oid() {
                        Ok(P256 | P384 | P521) => ECDSA,
                        _ => {
                            return Err("unable to parse pem encoded public key: x509: unsupported elliptic curve".to_owned());
                        }
                    },
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
        let make = || {
            let certificate = self.certificates()?.into_iter().next()?;
            Some(PublicKey::new(plain, certificate.key.0).id())
        };
        self.canonical.get_or_init(make).clone()
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

    /// Returns the length of an RSA key in bits.
    fn rsa_bits(&self) -> Option<usize> {
        let info = self.parsed().filter(|info| info.algorithm.oid == RSA_ENCRYPTION)?;
        let key = info.subject_public_key.as_bytes()?;
        let mut reader = SliceReader::new(key).ok()?;
        Header::decode(&mut reader).ok()?;
        let modulus = UintRef::decode(&mut reader).ok()?.as_bytes();
        Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
    }

    fn algorithm_oid(&self) -> Option<ObjectIdentifier> {
        self.parsed().map(|key| key.algorithm.oid)
    }

    fn verifies(&self, method: &str, message: &[u8], signature: &[u8]) -> bool {
        let Some(info) = self.parsed() else { return false };
        let Some(key) = info.subject_public_key.as_bytes() else { return false };
        match (method, info.algorithm.oid) {
            ("ecdsa", EC_PUBLIC_KEY) => {
                let curve = info.algorithm.parameters_oid().ok();
                curve.is_some_and(|curve| ecdsa_verifies(curve, key, message, signature))
            }
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

/// Says whether a signature is one by a point of a curve: two numbers of the size of the field, or, as other programs write
/// them, in DER.
fn ecdsa_verifies(curve: ObjectIdentifier, point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let size = match curve {
        P256 => 32,
        P384 => 48,
        P521 => P521_FIELD,
        _ => return false,
    };
    let fixed = der_signature(signature, size);
    let signature = fixed.as_deref().unwrap_or(signature);
    match curve {
        P256 => verified(&signature::ECDSA_P256_SHA256_ASN1, point, message, signature),
        P384 => verified(&signature::ECDSA_P384_SHA256_ASN1, point, message, signature),
        _ => p521_verifies(point, message, signature),
    }
}

/// ring has no P-521.
fn p521_verifies(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use p521::ecdsa::signature::hazmat::PrehashVerifier as _;
    use p521::ecdsa::{Signature, VerifyingKey};
    let hash = p521_number(ring::digest::digest(&ring::digest::SHA256, message).as_ref());
    let (key, signature) = (VerifyingKey::from_sec1_bytes(point), Signature::from_der(signature));
    key.is_ok_and(|key| signature.is_ok_and(|good| key.verify_prehash(&hash, &good).is_ok()))
}

/// Returns a hash in as many bytes as the field has: it is the same number, and the library wants no fewer than half of them.
pub(crate) fn p521_number(hash: &[u8]) -> [u8; P521_FIELD] {
    let mut number = [0; P521_FIELD];
    let start = P521_FIELD.saturating_sub(hash.len());
    number[start..].copy_from_slice(&hash[..P521_FIELD - start]);
    number
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
        if self.key.algorithm_oid() == Some(RSA_ENCRYPTION)
            && self.key.rsa_bits().is_none_or(|bits| bits < MIN_RSA)
        {
            return Err("RSA bit length is too short".to_owned());
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
