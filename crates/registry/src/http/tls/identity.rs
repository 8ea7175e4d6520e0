//! Client certificates, with keys that ring cannot sign with, too.

use std::sync::Arc;

use p521::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::hazmat::PrehashSigner},
    pkcs8::DecodePrivateKey,
};
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, Signer, SigningKey as Key},
};

use super::{hash::Hash, x509::Certificate};

/// Client certificates, of which the first that the server can check is shown.
#[derive(Debug)]
pub(super) struct Identities(pub(super) Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Identities {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|identity| identity.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Pairs certificates with their key.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    let Some(own) = P521::parse(&key) else {
        return CertifiedKey::from_der(chain, key, provider);
    };
    let certificate = chain.first().and_then(|certificate| Certificate::parse(certificate));
    if certificate.is_none_or(|certificate| *certificate.key != *own.public()) {
        return Err(rustls::InconsistentKeys::KeyMismatch.into());
    }
    Ok(CertifiedKey::new(chain, Arc::new(own)))
}

/// A key of the curve P-521.
#[derive(Clone)]
struct P521(SigningKey);

impl std::fmt::Debug for P521 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P521")
    }
}

impl P521 {
    /// Reads a key; nothing if it is of another kind.
    fn parse(key: &PrivateKeyDer<'_>) -> Option<Self> {
        let secret = match key {
            PrivateKeyDer::Pkcs8(key) => SecretKey::from_pkcs8_der(key.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Sec1(key) => SecretKey::from_sec1_der(key.secret_sec1_der()).ok(),
            _ => None,
        };
        secret.map(|secret| Self(SigningKey::from(secret)))
    }
}

impl P521 {
    /// Returns the public half as certificates have it.
    fn public(&self) -> Box<[u8]> {
        self.0.verifying_key().to_sec1_point(false).as_bytes().into()
    }
}

impl Key for P521 {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let able = offered.contains(&SignatureScheme::ECDSA_NISTP521_SHA512);
        able.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for P521 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let failed = |_| rustls::Error::General("the key cannot sign".to_owned());
        let signature: DerSignature =
            self.0.sign_prehash(&Hash::Sha512.of(&[message])).map_err(failed)?;
        Ok(signature.as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::super::{algorithms, vectors};
    use super::*;

    #[test]
    fn p521_keys_sign() {
        let decode = |text: &str| STANDARD.decode(text).unwrap();
        let [pkcs8, sec1] = vectors::P521_KEYS.map(decode);
        let keys = [PrivateKeyDer::Pkcs8(pkcs8.into()), PrivateKeyDer::Sec1(sec1.into())];
        let checked = algorithms::named("P521_SHA512").unwrap();
        for key in keys {
            let key = P521::parse(&key).unwrap();
            assert_eq!(*key.public(), *decode(vectors::P521_PUBLIC));
            assert!(key.choose_scheme(&[SignatureScheme::ED25519]).is_none());
            let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP521_SHA512]).unwrap();
            let signature = signer.sign(b"message").unwrap();
            checked.verify_signature(&key.public(), b"message", &signature).unwrap();
        }
        let other = rcgen::KeyPair::generate().unwrap().serialize_der();
        assert!(P521::parse(&PrivateKeyDer::Pkcs8(other.into())).is_none());
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let [pkcs8, _] = vectors::P521_KEYS.map(|text| STANDARD.decode(text).unwrap());
        let key = PrivateKeyDer::Pkcs8(pkcs8.into());
        let other = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).unwrap();
        let chain = vec![other.cert.der().clone()];
        let refused = certified(chain, key, &algorithms::provider(false)).unwrap_err();
        assert!(matches!(refused, rustls::Error::InconsistentKeys(_)), "{refused}");
    }
}
