//! The judgement of a server's certificate, as Go judges it.
//!
//! Validity, name and usage are checked whoever vouches for it, and a refusal has Go's words.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    algorithms::provider,
    authorities::{Authorities, Server},
    certificate_fault::{CertificateFault, check_validity, fault, other_name, seconds},
    rsa::ShortKey,
    x509::{Certificate, public_key},
};

/// The verifier of servers that are checked.
#[derive(Debug)]
pub(super) struct Verifier {
    /// The system's authorities.
    native: Arc<Authorities>,
    /// Those that users named for the host.
    own: Authorities,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(
        native: Arc<Authorities>,
        own: Authorities,
        provider: &CryptoProvider,
    ) -> Self {
        Self { native, own, algorithms: provider.signature_verification_algorithms }
    }

    /// Checks who vouches for a server. The system's authorities do so without short RSA keys, whoever else is trusted.
    fn check_authority(&self, server: &Server<'_>, now: UnixTime) -> Result<(), CertificateFault> {
        let modern = provider(false).signature_verification_algorithms.all;
        let mut native = self.native.check(server, modern, now);
        if native.is_ok() && ShortKey::parse(server.leaf.key).is_some() {
            native = Err(CertificateFault::Chain("an RSA key of less than 2048 bits".to_owned()));
        }
        native.or_else(|first| match self.own.check(server, self.algorithms.all, now) {
            Err(CertificateFault::UnknownAuthority) => Err(first),
            checked => checked,
        })
    }
}

/// Checks that a peer has the key of its certificate, whatever else that certificate is: webpki reads none of the first
/// version of X.509, which `openssl x509 -req` makes.
pub(super) fn handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let (key_algorithm, key) = public_key(certificate).ok_or(CertificateFault::Malformed)?;
    let mut fitting = algorithms
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signature.scheme)
        .flat_map(|(_, algorithms)| *algorithms)
        .filter(|algorithm| *algorithm.public_key_alg_id() == *key_algorithm);
    let good = fitting
        .any(|algorithm| algorithm.verify_signature(key, message, signature.signature()).is_ok());
    good.then(HandshakeSignatureValid::assertion)
        .ok_or_else(|| CertificateError::BadSignature.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let leaf = Certificate::parse(end_entity).ok_or(CertificateFault::Malformed)?;
        check_validity(&leaf, seconds(now))?;
        let host = server_name.to_str();
        if leaf.names.is_none() {
            return Err(other_name(&leaf, &host).into());
        }
        let parsed = ParsedCertificate::try_from(end_entity).map_err(|error| match error {
            rustls::Error::InvalidCertificate(error) => rustls::Error::from(fault(&error)),
            other => other,
        })?;
        verify_server_name(&parsed, server_name).map_err(|_| other_name(&leaf, &host))?;
        if !leaf.serves {
            return Err(CertificateFault::Usage.into());
        }
        let server = Server { der: end_entity, parsed: &parsed, leaf: &leaf, intermediates };
        self.check_authority(&server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
