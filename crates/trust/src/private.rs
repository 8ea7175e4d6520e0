//! Private keys: made, read, and signed with.
//!
//! All signatures of the curves are over SHA-256, as notary has it, whatever the curve is.

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use pem::Pem;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaPair;
use ring::signature::{self, EcdsaKeyPair};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Header, Reader as _, SliceReader, asn1::OctetStringRef};

use crate::TrustError;
use crate::key::{
    EC_PUBLIC_KEY, ECDSA, P256, P384, P521, P521_FIELD, PublicKey, RSA, RSA_ENCRYPTION,
    p521_number, tlv,
};

/// The algorithm of an RSA key.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0];
/// The shortest RSA key that is kept; Go's library knows no shorter ones either.
const MIN_RSA: usize = 1024;
/// The RSA keys that ring signs with. Of the others none is kept by notary's server: it wants 2048 bits.
const SIGNING_RSA: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key that signs.
pub struct PrivateKey {
    pkcs8: Vec<u8>,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
    Rsa(Box<RsaPair>),
    /// One of so many bits, which is kept and cannot be signed with.
    OtherRsa(usize),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a key of the kind that notary makes.
    pub fn generate() -> Result<PrivateKey, TrustError> {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .map_err(|_| TrustError::Random)?;
        PrivateKey::from_pkcs8(document.as_ref()).ok_or(TrustError::Random)
    }

    /// Reads a key that is not behind a passphrase; nothing if it is none that can be used.
    pub(crate) fn from_pem(block: &Pem) -> Option<PrivateKey> {
        PrivateKey::from_der(block.tag(), block.contents())
    }

    /// Reads a key of a kind that PEM names.
    pub(crate) fn from_der(tag: &str, der: &[u8]) -> Option<PrivateKey> {
        match tag {
            "PRIVATE KEY" => PrivateKey::from_pkcs8(der),
            "EC PRIVATE KEY" => {
                let (scalar, curve) = sec1(der)?;
                PrivateKey::of_curve(curve?, scalar)
            }
            "RSA PRIVATE KEY" => PrivateKey::of_rsa(der),
            _ => None,
        }
    }

    /// Reads PKCS#8 of either version: notary writes the later one for keys of curves. What was behind a passphrase may have
    /// padding at its end.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<PrivateKey> {
        let mut fields = SliceReader::new(body(der)?).ok()?;
        u8::decode(&mut fields).ok()?;
        let mut algorithm = SliceReader::new(body(fields.tlv_bytes().ok()?)?).ok()?;
        let key = <&OctetStringRef>::decode(&mut fields).ok()?.as_bytes();
        match ObjectIdentifier::decode(&mut algorithm).ok()? {
            EC_PUBLIC_KEY => {
                let curve = ObjectIdentifier::decode(&mut algorithm).ok()?;
                PrivateKey::of_curve(curve, sec1(key)?.0)
            }
            // Notary leaves out its parameters, of which there are none.
            RSA_ENCRYPTION => PrivateKey::of_rsa(key),
            _ => None,
        }
    }

    fn of_curve(curve: ObjectIdentifier, scalar: &[u8]) -> Option<PrivateKey> {
        let (pair, scalar, point) = match curve {
            P256 => {
                let scalar = padded::<32>(scalar)?;
                let key = p256::ecdsa::SigningKey::from_slice(&scalar).ok()?;
                let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                (Pair::P256(Box::new(key)), scalar.to_vec(), point)
            }
            P384 => {
                let scalar = padded::<48>(scalar)?;
                let key = p384::ecdsa::SigningKey::from_slice(&scalar).ok()?;
                let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                (Pair::P384(Box::new(key)), scalar.to_vec(), point)
            }
            P521 => {
                let scalar = padded::<P521_FIELD>(scalar)?;
                let key = p521::ecdsa::SigningKey::from_slice(&scalar).ok()?;
                let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                (Pair::P521(Box::new(key)), scalar.to_vec(), point)
            }
            _ => return None,
        };
        let algorithm = tlv(0x30, &[&EC_PUBLIC_KEY.to_der().ok()?, &curve.to_der().ok()?]);
        let bits = tlv(0x03, &[&[0], &point]);
        let key = tlv(0x30, &[&[0x02, 1, 1], &tlv(0x04, &[&scalar]), &tlv(0xa1, &[&bits])]);
        let public = PublicKey::new(ECDSA, tlv(0x30, &[&algorithm, &bits]));
        Some(PrivateKey { pkcs8: wrap(&algorithm, &key), pair, public })
    }

    fn of_rsa(key: &[u8]) -> Option<PrivateKey> {
        let mut fields = SliceReader::new(body(key)?).ok()?;
        u8::decode(&mut fields).ok()?;
        let numbers = [fields.tlv_bytes().ok()?, fields.tlv_bytes().ok()?];
        let modulus = body(numbers[0])?;
        let first = modulus.iter().position(|&byte| byte != 0)?;
        let bits = (modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize;
        let pkcs8 = wrap(RSA_ALGORITHM, key);
        let pair = match RsaPair::from_pkcs8(&pkcs8) {
            Ok(pair) => Pair::Rsa(Box::new(pair)),
            Err(_) if bits >= MIN_RSA && !SIGNING_RSA.contains(&bits) => Pair::OtherRsa(bits),
            Err(_) => return None,
        };
        let bits = tlv(0x03, &[&[0], &tlv(0x30, &numbers)]);
        let public = PublicKey::new(RSA, tlv(0x30, &[RSA_ALGORITHM, &bits]));
        Some(PrivateKey { pkcs8, pair, public })
    }

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the key without a passphrase before it, in PKCS#8.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Signs a message; the first part of what is returned is the method's name.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<(&'static str, Vec<u8>), TrustError> {
        let hash = digest(&SHA256, message);
        let signed = match &self.pair {
            Pair::P256(pair) => pair
                .sign_prehash(hash.as_ref())
                .map(|s: p256::ecdsa::Signature| s.to_bytes().to_vec()),
            Pair::P384(pair) => pair
                .sign_prehash(hash.as_ref())
                .map(|s: p384::ecdsa::Signature| s.to_bytes().to_vec()),
            Pair::P521(pair) => {
                let hash = p521_number(hash.as_ref());
                pair.sign_prehash(&hash).map(|s: p521::ecdsa::Signature| s.to_bytes().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &signature::RSA_PSS_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(|_| TrustError::Random)?;
                return Ok(("rsapss", signature));
            }
            Pair::OtherRsa(bits) => {
                let message =
                    format!("an RSA key of {bits} bits cannot sign: it must have 2048 to 4096");
                return Err(TrustError::Key(message));
            }
        };
        signed.map(|signature| ("ecdsa", signature)).map_err(|_| TrustError::Random)
    }

    /// Returns a certificate of the key for a repository, as its root has it.
    pub(crate) fn certificate(
        &self,
        repository: &str,
        (from, to): (jiff::Timestamp, jiff::Timestamp),
    ) -> Result<PublicKey, TrustError> {
        let made = || -> Result<String, rcgen::Error> {
            let pair = rcgen::KeyPair::try_from(self.pkcs8.as_slice())?;
            let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new())?;
            let mut name = rcgen::DistinguishedName::new();
            name.push(rcgen::DnType::CommonName, repository);
            parameters.distinguished_name = name;
            let date = |time: jiff::Timestamp| {
                let seconds = u64::try_from(time.as_second()).unwrap_or_default();
                rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
            };
            (parameters.not_before, parameters.not_after) = (date(from), date(to));
            parameters.is_ca = rcgen::IsCa::ExplicitNoCa;
            parameters.key_usages = vec![
                rcgen::KeyUsagePurpose::DigitalSignature,
                rcgen::KeyUsagePurpose::KeyEncipherment,
            ];
            parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
            Ok(parameters.self_signed(&pair)?.pem())
        };
        let text = made().map_err(|error| TrustError::Key(error.to_string()))?;
        let kind = if matches!(self.pair, Pair::Rsa(_) | Pair::OtherRsa(_)) { RSA } else { ECDSA };
        Ok(PublicKey::of_certificate(&text.replace("\r\n", "\n"), kind))
    }
}

/// Returns the value of a tag that a text of DER begins with.
fn body(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    let length = usize::try_from(Header::decode(&mut reader).ok()?.length()).ok()?;
    let start = usize::try_from(reader.position()).ok()?;
    der.get(start..start.checked_add(length)?)
}

/// Reads the number of a key of a curve, and the curve if it is there. The public half, if it is there, follows from them.
fn sec1(der: &[u8]) -> Option<(&[u8], Option<ObjectIdentifier>)> {
    const PARAMETERS: u8 = 0xa0;
    let mut fields = SliceReader::new(body(der)?).ok()?;
    if u8::decode(&mut fields).ok()? != 1 {
        return None;
    }
    let scalar = <&OctetStringRef>::decode(&mut fields).ok()?.as_bytes();
    let next = if fields.is_finished() { None } else { fields.tlv_bytes().ok() };
    let curve = next.filter(|next| next.first() == Some(&PARAMETERS)).and_then(body);
    let curve = curve.map(ObjectIdentifier::from_der).transpose().ok()?;
    Some((scalar, curve))
}

/// Returns a number in so many bytes; nothing if it has more.
fn padded<const SIZE: usize>(number: &[u8]) -> Option<[u8; SIZE]> {
    let digits = &number[number.iter().position(|&byte| byte != 0)?..];
    let mut out = [0; SIZE];
    out[SIZE.checked_sub(digits.len())?..].copy_from_slice(digits);
    Some(out)
}

fn wrap(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[0x02, 1, 0], algorithm, &tlv(0x04, &[key])])
}
