//! Manifests of Docker's schema 1, signed, for registries and clients that check signatures. It shares no code with the client under
//! test.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// The media type of what is signed.
pub const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// A key to sign manifests of schema 1 with.
#[derive(Debug)]
pub struct Signer(EcdsaKeyPair);

impl Signer {
    /// Makes a key.
    pub fn new() -> io::Result<Self> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let failed = || io::Error::other("the key cannot be made");
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| failed())?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random);
        pair.map(Self).map_err(|_| failed())
    }

    /// Puts a signature into a manifest, which is a JSON object.
    pub fn sign(&self, manifest: &str) -> io::Result<String> {
        let body = manifest.strip_suffix('}').map_or(manifest, str::trim_end);
        let signature = self.signature(manifest, body.len(), &manifest[body.len()..])?;
        Ok(with_signatures(body, &[signature]))
    }

    /// Signs a manifest, and says of the signed bytes that they are `length` of a document's, and `tail`.
    pub fn signature(&self, manifest: &str, length: usize, tail: &str) -> io::Result<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let protected = json!({ "formatLength": length, "formatTail": encode(tail.as_bytes()) });
        let protected = encode(protected.to_string().as_bytes());
        let message = format!("{protected}.{}", encode(manifest.as_bytes()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes());
        let signature = signature.map_err(|_| io::Error::other("nothing is signed"))?;
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let key = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        Ok(json!({
            "header": { "jwk": key, "alg": "ES256" },
            "signature": encode(signature.as_ref()),
            "protected": protected,
        }))
    }
}

/// Puts signatures behind a manifest that lacks its end.
pub fn with_signatures(body: &str, signatures: &[Value]) -> String {
    format!("{body},\n   \"signatures\": {}\n}}", Value::from(signatures))
}
