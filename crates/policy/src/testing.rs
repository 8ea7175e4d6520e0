//! Keys and signatures for tests.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::key::{pem, private::PrivateKey};

/// The DER of a public key with P-256, up to the point.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key pair.
pub(crate) struct Key {
    pub(crate) private: PrivateKey,
    pub(crate) public: String,
}

impl Key {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap();
        let public = [P256, pair.public_key().as_ref()].concat();
        let private = pem::write("PRIVATE KEY", der.as_ref());
        Self {
            private: PrivateKey::parse(private.as_bytes(), None).unwrap(),
            public: pem::write("PUBLIC KEY", &public),
        }
    }

    /// The public key as a policy has it.
    pub(crate) fn data(&self) -> String {
        STANDARD.encode(&self.public)
    }
}

/// Runs openssl and returns what it printed.
pub(crate) fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
