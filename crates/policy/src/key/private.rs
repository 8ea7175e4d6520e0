//! Private keys, as cosign and openssl write them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, VerificationAlgorithm,
};

use super::private_fault::PrivateKeyFault;
use super::{MAX_KEY, encrypted, pem};
use crate::file;

/// The labels of keys that cosign has encrypted: before version 2, and since.
const COSIGN: [&str; 2] = ["ENCRYPTED COSIGN PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"];

/// A key that signs.
pub struct PrivateKey(Kind);

enum Kind {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// Reads the text of a key's file. Blocks.
    pub fn read(path: &Path) -> Result<Vec<u8>, PrivateKeyFault> {
        let failed = |source| PrivateKeyFault::Read { path: path.to_owned(), source };
        file::read(path, MAX_KEY).map_err(failed)
    }

    /// Says whether a passphrase is wanted.
    pub fn is_encrypted(text: &[u8]) -> bool {
        pem::first(text).is_some_and(|block| COSIGN.contains(&block.label.as_str()))
    }

    /// Reads a key: one of cosign, or an unencrypted one in PKCS#8. Takes a second for the former, which is meant.
    pub fn parse(text: &[u8], passphrase: Option<&[u8]>) -> Result<Self, PrivateKeyFault> {
        let block = pem::first(text).ok_or(PrivateKeyFault::Pem)?;
        match block.label.as_str() {
            "PRIVATE KEY" => Self::of_pkcs8(&block.content),
            label if COSIGN.contains(&label) => {
                let passphrase = passphrase.ok_or(PrivateKeyFault::NoPassphrase)?;
                Self::of_pkcs8(&encrypted::decrypt(&block.content, passphrase)?)
            }
            _ => Err(PrivateKeyFault::Form(block.label)),
        }
    }

    fn of_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyFault> {
        let random = SystemRandom::new();
        let ecdsa = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random);
        let fault = match ecdsa {
            Ok(pair) => return Ok(Self(Kind::Ecdsa(pair))),
            Err(fault) => fault,
        };
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self(Kind::Rsa(pair)));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self(Kind::Ed25519(pair)));
        }
        Err(PrivateKeyFault::Kind(fault.to_string()))
    }

    /// Signs, and returns the signature in base64.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<String, PrivateKeyFault> {
        let random = SystemRandom::new();
        let signature = match &self.0 {
            Kind::Ecdsa(pair) => {
                let signature = pair.sign(&random, message);
                signature.map_err(|_| PrivateKeyFault::Sign)?.as_ref().to_vec()
            }
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map_err(|_| PrivateKeyFault::Sign)?;
                signature
            }
            Kind::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        };
        Ok(STANDARD.encode(signature))
    }

    /// Says whether a signature, in base64, was made by this key.
    pub(crate) fn has_made(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        let (algorithm, public): (&dyn VerificationAlgorithm, &[u8]) = match &self.0 {
            Kind::Ecdsa(pair) => (&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref()),
            Kind::Rsa(pair) => (&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
            Kind::Ed25519(pair) => (&ED25519, pair.public_key().as_ref()),
        };
        verify(algorithm, public, message, &signature)
    }
}

fn verify(
    algorithm: &dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    algorithm.verify(key.into(), message.into(), signature.into()).is_ok()
}
