//! Keys of manifests' signatures, as JSON has them (JWK).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    EcdsaKeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::{AlgorithmIdentifier, alg_id};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use super::encoding::decode;
use super::error::SignatureError;
use crate::http::tls::public_key;

/// The bytes of a coordinate of P-256.
const P256_FIELD: usize = 32;
/// Keys that are no numbers of the curve are so rare that the second is never reached.
const KEY_ATTEMPTS: usize = 8;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// The key that a signature is checked with.
#[derive(Debug)]
pub(super) struct PublicKey {
    kind: &'static Kind,
    /// A point, uncompressed, or an RSA key in DER.
    bits: Vec<u8>,
}

/// A kind of key.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    curve: &'static str,
    identifier: AlgorithmIdentifier,
    /// The bytes of a coordinate.
    field: usize,
}

static KINDS: [Kind; 4] = [
    Kind { name: "P-256 EC", curve: "P-256", identifier: alg_id::ECDSA_P256, field: P256_FIELD },
    Kind { name: "P-384 EC", curve: "P-384", identifier: alg_id::ECDSA_P384, field: 48 },
    Kind { name: "P-521 EC", curve: "P-521", identifier: alg_id::ECDSA_P521, field: 66 },
    Kind { name: "RSA", curve: "", identifier: alg_id::RSA_ENCRYPTION, field: 0 },
];

/// A key in JSON.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Jwk {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    crv: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    e: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    kty: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    n: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    x: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    y: String,
}

impl Jwk {
    /// Returns the public key, whose name must be its own.
    pub(super) fn key(&self) -> Result<PublicKey, SignatureError> {
        let key = match &*self.kty {
            "EC" => {
                let mut curves = KINDS.iter().filter(|kind| kind.field > 0);
                let kind = curves.find(|kind| kind.curve == self.crv);
                let kind = kind.ok_or(SignatureError::Key("its curve is not supported"))?;
                let (x, y) = (decode(&self.x, "x")?, decode(&self.y, "y")?);
                if [x.len(), y.len()] != [kind.field; 2] {
                    return Err(SignatureError::Key("invalid number of octets"));
                }
                PublicKey { kind, bits: [&[4][..], &x, &y].concat() }
            }
            "RSA" => {
                let number = |text: &str, what| Ok(unsigned(&decode(text, what)?));
                let (n, e) = (number(&self.n, "n")?, number(&self.e, "e")?);
                PublicKey { kind: &KINDS[3], bits: der(SEQUENCE, &[&n, &e]) }
            }
            _ => return Err(SignatureError::Key("its type is not supported")),
        };
        match &self.kid {
            Some(said) if *said != key.id() => Err(SignatureError::KeyId(said.clone())),
            _ => Ok(key),
        }
    }
}

impl PublicKey {
    /// Reads the key of a certificate, whatever else that says.
    pub(super) fn of_certificate(der: &[u8]) -> Result<Self, SignatureError> {
        let malformed = || SignatureError::Key("the certificate is malformed");
        let (identifier, bits) = public_key(der).ok_or_else(malformed)?;
        let kind = KINDS.iter().find(|kind| *kind.identifier == *identifier);
        let kind = kind.ok_or(SignatureError::Key("its type is not supported"))?;
        Ok(Self { kind, bits: bits.to_vec() })
    }

    /// Fails unless the signature is one of this key over the message.
    pub(super) fn verify(
        &self,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let checked: &dyn VerificationAlgorithm = match (self.kind.name, algorithm) {
            ("P-256 EC", "ES256") => &ECDSA_P256_SHA256_FIXED,
            ("P-384 EC", "ES384") => &ECDSA_P384_SHA384_FIXED,
            ("P-521 EC", "ES512") => return self.verify_p521(message, signature),
            ("RSA", "RS256") => &RSA_PKCS1_2048_8192_SHA256,
            ("RSA", "RS384") => &RSA_PKCS1_2048_8192_SHA384,
            ("RSA", "RS512") => &RSA_PKCS1_2048_8192_SHA512,
            (key, algorithm) => {
                let algorithm = algorithm.to_owned();
                return Err(SignatureError::Algorithm { key, algorithm });
            }
        };
        let key = UnparsedPublicKey::new(checked, &self.bits);
        key.verify(message, signature).map_err(|_| SignatureError::Signature)
    }

    /// ring has no P-521.
    fn verify_p521(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        use p521::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier as _};
        let hash = Sha512::digest(message);
        let key = VerifyingKey::from_sec1_bytes(&self.bits);
        let signature = Signature::from_slice(signature);
        let good = key.is_ok_and(|key| {
            signature.is_ok_and(|signature| key.verify_prehash(&hash, &signature).is_ok())
        });
        good.then_some(()).ok_or(SignatureError::Signature)
    }

    /// Returns the name of the key: the beginning of a hash in twelve groups.
    fn id(&self) -> String {
        let algorithm = der(SEQUENCE, &[&self.kind.identifier]);
        let bits = der(BIT_STRING, &[&[0], &self.bits]);
        let hash = Sha256::digest(der(SEQUENCE, &[&algorithm, &bits]));
        let letters = base32(&hash[..30]);
        let groups: Vec<&str> =
            (0..letters.len()).step_by(4).filter_map(|at| letters.get(at..at + 4)).collect();
        groups.join(":")
    }
}

/// The key that a data root signs with, as dockerd keeps its own.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    private: Jwk,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.private.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, SignatureError> {
        for _ in 0..KEY_ATTEMPTS {
            let mut number = [0; P256_FIELD];
            SystemRandom::new().fill(&mut number).map_err(|_| SignatureError::Random)?;
            let Ok(key) = p256::ecdsa::SigningKey::from_slice(&number) else { continue };
            let point = key.verifying_key().to_sec1_point(false);
            let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
            let (x, y) = point.as_bytes()[1..].split_at(P256_FIELD);
            let private = Jwk {
                crv: "P-256".to_owned(),
                d: Some(encode(&number)),
                kty: "EC".to_owned(),
                x: encode(x),
                y: encode(y),
                ..Jwk::default()
            };
            let kid = Some(private.key()?.id());
            return Self::of(Jwk { kid, ..private });
        }
        Err(SignatureError::Random)
    }

    /// Reads a key as dockerd writes it.
    pub fn parse(json: &[u8]) -> Result<Self, SignatureError> {
        Self::of(serde_json::from_slice(json).map_err(|_| SignatureError::PrivateKey)?)
    }

    fn of(private: Jwk) -> Result<Self, SignatureError> {
        let public = private.key()?;
        let d = decode(private.d.as_deref().unwrap_or_default(), "d")?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &d,
            &public.bits,
            &SystemRandom::new(),
        );
        Ok(Self { pair: pair.map_err(|_| SignatureError::PrivateKey)?, private })
    }

    /// Writes the key as dockerd does.
    pub fn to_json(&self) -> Result<String, SignatureError> {
        serde_json::to_string(&self.private).map_err(|_| SignatureError::PrivateKey)
    }

    /// Puts a signature into a manifest: a JSON object that ends with `\n}`, as [`spec::make_schema1`] makes it.
    pub fn sign(&self, payload: &str) -> Result<String, SignatureError> {
        let body = payload.strip_suffix("\n}").ok_or(SignatureError::Length)?;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        // Without a fraction.
        let time = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let length = body.len();
        let protected = format!(
            r#"{{"formatLength":{length},"formatTail":"{}","time":"{time}"}}"#,
            encode(b"\n}")
        );
        let protected = encode(protected.as_bytes());
        let message = format!("{protected}.{}", encode(payload.as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes());
        let signature = encode(signature.map_err(|_| SignatureError::Random)?.as_ref());
        let Jwk { crv, kid, x, y, .. } = &self.private;
        let kid = kid.clone().map_or_else(|| self.private.key().map(|key| key.id()), Ok)?;
        Ok(format!(
            r#"{body},
   "signatures": [
      {{
         "header": {{
            "jwk": {{
               "crv": "{crv}",
               "kid": "{kid}",
               "kty": "EC",
               "x": "{x}",
               "y": "{y}"
            }},
            "alg": "ES256"
         }},
         "signature": "{signature}",
         "protected": "{protected}"
      }}
   ]
}}"#
        ))
    }
}

/// Writes a number in DER.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[zeros..];
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    der(INTEGER, &[sign, digits])
}

/// Writes an element in DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|digit| *digit == 0).collect();
    let mut element = vec![tag];
    match *digits {
        [] => element.push(0),
        [short] if short < 0x80 => element.push(short),
        [_] => element.extend([0x81, digits[0]]),
        [high, low] => element.extend([0x82, high, low]),
        // Longer than what a manifest of 4 MiB holds.
        _ => return Vec::new(),
    }
    element.extend(content);
    element
}

/// Writes bytes in groups of five bits, by RFC 4648.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    (0..bytes.len() * 8)
        .step_by(5)
        .map(|at| (at..at + 5).fold(0, |sum, at| sum << 1 | usize::from(bit(at))))
        .map(|index| char::from(LETTERS[index & 31]))
        .collect()
}
