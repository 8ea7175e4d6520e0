//! Public keys that vouch.

pub(crate) mod encrypted;
pub(crate) mod pem;
pub(crate) mod private;
pub(crate) mod private_fault;

use std::io;
use std::path::PathBuf;

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use spec::Digest;
use spki::der::Decode as _;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::document::requirement::Material;
use crate::file;

/// The largest file of a key, in bytes. One of RSA with 8192 bits has 1500.
pub(crate) const MAX_KEY: u64 = 64 << 10;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A fault of a public key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// Its file cannot be read.
    #[error("key {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// There is none in the text.
    #[error("key: there is no PUBLIC KEY in PEM")]
    Pem,
    /// It cannot be read.
    #[error("key: {0}")]
    Der(#[from] spki::der::Error),
    /// A file of authorities has none.
    #[error("authorities: there is no certificate in PEM, or one that is damaged")]
    Authorities,
    /// Of a kind that cosign has not.
    #[error("key: neither ECDSA with P-256 or P-384, nor RSA, nor Ed25519")]
    Kind,
}

/// A key that vouches for what its private half has signed.
pub(crate) struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
    pub(crate) der: Vec<u8>,
    /// Hash of the DER: the name by which openssl and cosign know it.
    pub(crate) fingerprint: Digest,
}

impl PublicKey {
    /// Reads the first key of a text in PEM.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, KeyFault> {
        let block = pem::first(text).filter(|block| block.label == "PUBLIC KEY");
        Self::of_der(&block.ok_or(KeyFault::Pem)?.content)
    }

    pub(crate) fn of_der(der: &[u8]) -> Result<Self, KeyFault> {
        let info = SubjectPublicKeyInfoRef::from_der(der)?;
        let curve = || info.algorithm.parameters_oid().ok();
        let algorithm: &'static dyn VerificationAlgorithm = match info.algorithm.oid {
            EC if curve() == Some(P256) => &ECDSA_P256_SHA256_ASN1,
            EC if curve() == Some(P384) => &ECDSA_P384_SHA256_ASN1,
            RSA => &RSA_PKCS1_2048_8192_SHA256,
            ED => &ED25519,
            _ => return Err(KeyFault::Kind),
        };
        let bytes = info.subject_public_key.as_bytes().ok_or(KeyFault::Kind)?.to_vec();
        Ok(Self { algorithm, bytes, der: der.to_vec(), fingerprint: Digest::sha256(der) })
    }

    /// Reads the keys that a policy names. Blocks.
    pub(crate) fn load(materials: &[Material]) -> Result<Vec<Self>, KeyFault> {
        let load = |material: &Material| match material {
            Material::Data(text) => Self::parse(text),
            Material::Path(path) => {
                let failed = |source| KeyFault::Read { path: path.clone(), source };
                Self::parse(&file::read(path, MAX_KEY).map_err(failed)?)
            }
        };
        materials.iter().map(load).collect()
    }

    /// Says whether a signature of these bytes was made by this key.
    pub(crate) fn vouches_for(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.bytes).verify(message, signature).is_ok()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PublicKey").field(&self.fingerprint).finish()
    }
}

#[cfg(test)]
mod tests;
