//! The signatures that are checked: ring's, and those of private authorities that ring leaves out.
//!
//! P-521 and the other curves with SHA-512 are checked for everybody. RSA keys of 1024 to 2047 bits are checked where a
//! `ca.crt` names an authority: public ones have not signed such for years, private ones live long.

use std::sync::Arc;

use rustls::{
    SignatureScheme,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring},
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use webpki::ring as checked;

use super::{
    exchange::Secp521r1,
    hash::Hash,
    rsa::{self, Padding},
};

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Returns the cryptography of a connection; with `legacy`, short RSA keys are good, too.
pub(super) fn provider(legacy: bool) -> Arc<CryptoProvider> {
    let signature_verification_algorithms = if legacy { LEGACY } else { MODERN };
    let mut provider = ring::default_provider();
    provider.kx_groups.push(&Secp521r1);
    Arc::new(CryptoProvider { signature_verification_algorithms, ..provider })
}

/// ECDSA where ring has none.
#[derive(Debug)]
struct Ecdsa {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    hash: Hash,
    /// Checks a hash: public key, hash, signature.
    check: fn(&[u8], &[u8], &[u8]) -> bool,
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let good = (self.check)(key, &self.hash.of(&[message]), signature);
        good.then_some(()).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

fn p256(key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
    let (key, signature) = (VerifyingKey::from_sec1_bytes(key), Signature::from_der(signature));
    key.is_ok_and(|key| signature.is_ok_and(|good| key.verify_prehash(hash, &good).is_ok()))
}

fn p384(key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    use p384::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
    let (key, signature) = (VerifyingKey::from_sec1_bytes(key), Signature::from_der(signature));
    key.is_ok_and(|key| signature.is_ok_and(|good| key.verify_prehash(hash, &good).is_ok()))
}

/// The bytes of a number of the field of P-521.
const P521_FIELD: usize = 66;

fn p521(key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    use p521::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
    // As a number a hash is the same with zeros before it, but the library wants at least half of the field.
    let mut number = [0; P521_FIELD];
    number[P521_FIELD - hash.len()..].copy_from_slice(hash);
    let (key, signature) = (VerifyingKey::from_sec1_bytes(key), Signature::from_der(signature));
    key.is_ok_and(|key| signature.is_ok_and(|good| key.verify_prehash(&number, &good).is_ok()))
}

macro_rules! ecdsa {
    ($name:ident, $key:ident, $signature:ident, $hash:ident, $check:ident) => {
        static $name: Algorithm = &Ecdsa {
            key: alg_id::$key,
            signature: alg_id::$signature,
            hash: Hash::$hash,
            check: $check,
        };
    };
}

ecdsa!(P256_SHA512, ECDSA_P256, ECDSA_SHA512, Sha512, p256);
ecdsa!(P384_SHA512, ECDSA_P384, ECDSA_SHA512, Sha512, p384);
ecdsa!(P521_SHA256, ECDSA_P521, ECDSA_SHA256, Sha256, p521);
ecdsa!(P521_SHA384, ECDSA_P521, ECDSA_SHA384, Sha384, p521);
ecdsa!(P521_SHA512, ECDSA_P521, ECDSA_SHA512, Sha512, p521);

/// RSA with keys of any length that is not laughable: ring checks those that it takes.
#[derive(Debug)]
struct ShortRsa {
    signature: AlgorithmIdentifier,
    hash: Hash,
    padding: Padding,
    long: Algorithm,
}

impl SignatureVerificationAlgorithm for ShortRsa {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        match rsa::ShortKey::parse(key) {
            Some(key) if key.verify(self.padding, self.hash, message, signature) => Ok(()),
            Some(_) => Err(InvalidSignature),
            None => self.long.verify_signature(key, message, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

macro_rules! short_rsa {
    ($name:ident, $signature:ident, $hash:ident, $padding:ident, $long:ident) => {
        static $name: Algorithm = &ShortRsa {
            signature: alg_id::$signature,
            hash: Hash::$hash,
            padding: Padding::$padding,
            long: checked::$long,
        };
    };
}

short_rsa!(RSA_PKCS1_SHA256, RSA_PKCS1_SHA256, Sha256, Pkcs1, RSA_PKCS1_2048_8192_SHA256);
short_rsa!(RSA_PKCS1_SHA384, RSA_PKCS1_SHA384, Sha384, Pkcs1, RSA_PKCS1_2048_8192_SHA384);
short_rsa!(RSA_PKCS1_SHA512, RSA_PKCS1_SHA512, Sha512, Pkcs1, RSA_PKCS1_2048_8192_SHA512);
short_rsa!(RSA_PSS_SHA256, RSA_PSS_SHA256, Sha256, Pss, RSA_PSS_2048_8192_SHA256_LEGACY_KEY);
short_rsa!(RSA_PSS_SHA384, RSA_PSS_SHA384, Sha384, Pss, RSA_PSS_2048_8192_SHA384_LEGACY_KEY);
short_rsa!(RSA_PSS_SHA512, RSA_PSS_SHA512, Sha512, Pss, RSA_PSS_2048_8192_SHA512_LEGACY_KEY);

macro_rules! supported {
    ($name:ident,
     pkcs1: $pkcs1_256:path, $pkcs1_384:path, $pkcs1_512:path,
     pss: $pss_256:path, $pss_384:path, $pss_512:path) => {
        static $name: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
            all: &[
                checked::ECDSA_P256_SHA256,
                checked::ECDSA_P256_SHA384,
                P256_SHA512,
                checked::ECDSA_P384_SHA256,
                checked::ECDSA_P384_SHA384,
                P384_SHA512,
                P521_SHA256,
                P521_SHA384,
                P521_SHA512,
                checked::ED25519,
                $pss_256,
                $pss_384,
                $pss_512,
                $pkcs1_256,
                $pkcs1_384,
                $pkcs1_512,
                checked::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
                checked::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
                checked::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
            ],
            // TLS 1.3 takes the first of each, TLS 1.2 leaves the curve open.
            mapping: &[
                (
                    SignatureScheme::ECDSA_NISTP384_SHA384,
                    &[checked::ECDSA_P384_SHA384, checked::ECDSA_P256_SHA384, P521_SHA384],
                ),
                (
                    SignatureScheme::ECDSA_NISTP256_SHA256,
                    &[checked::ECDSA_P256_SHA256, checked::ECDSA_P384_SHA256, P521_SHA256],
                ),
                (SignatureScheme::ECDSA_NISTP521_SHA512, &[P521_SHA512, P384_SHA512, P256_SHA512]),
                (SignatureScheme::ED25519, &[checked::ED25519]),
                (SignatureScheme::RSA_PSS_SHA512, &[$pss_512]),
                (SignatureScheme::RSA_PSS_SHA384, &[$pss_384]),
                (SignatureScheme::RSA_PSS_SHA256, &[$pss_256]),
                (SignatureScheme::RSA_PKCS1_SHA512, &[$pkcs1_512]),
                (SignatureScheme::RSA_PKCS1_SHA384, &[$pkcs1_384]),
                (SignatureScheme::RSA_PKCS1_SHA256, &[$pkcs1_256]),
            ],
        };
    };
}

supported!(
    MODERN,
    pkcs1: checked::RSA_PKCS1_2048_8192_SHA256, checked::RSA_PKCS1_2048_8192_SHA384,
        checked::RSA_PKCS1_2048_8192_SHA512,
    pss: checked::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        checked::RSA_PSS_2048_8192_SHA384_LEGACY_KEY, checked::RSA_PSS_2048_8192_SHA512_LEGACY_KEY
);
supported!(
    LEGACY,
    pkcs1: RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    pss: RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512
);

/// Returns one of the algorithms that ring does not have, by its name.
#[cfg(test)]
pub(super) fn named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RSA_PKCS1_SHA256" => RSA_PKCS1_SHA256,
        "RSA_PKCS1_SHA384" => RSA_PKCS1_SHA384,
        "RSA_PKCS1_SHA512" => RSA_PKCS1_SHA512,
        "RSA_PSS_SHA256" => RSA_PSS_SHA256,
        "RSA_PSS_SHA384" => RSA_PSS_SHA384,
        "P256_SHA512" => P256_SHA512,
        "P384_SHA512" => P384_SHA512,
        "P521_SHA256" => P521_SHA256,
        "P521_SHA384" => P521_SHA384,
        "P521_SHA512" => P521_SHA512,
        _ => return None,
    })
}
