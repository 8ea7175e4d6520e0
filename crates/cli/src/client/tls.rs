//! TLS towards a daemon.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::error::CliError;

/// A user's files for TLS with one daemon: the content of `ca.pem`, `cert.pem` and `key.pem`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsMaterial {
    /// The authority that vouches for the daemon. Without it, the system's authorities do.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
    /// True if any daemon will do.
    pub(crate) skip_verify: bool,
}

impl fmt::Debug for TlsMaterial {
    /// Prints no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsMaterial")
            .field("skip_verify", &self.skip_verify)
            .finish_non_exhaustive()
    }
}

/// Returns what TLS with a server that the system's authorities vouch for takes.
pub(crate) fn public_tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

impl TlsMaterial {
    /// Agrees on TLS with the daemon at the other end of `stream`, whose name and port are `authority`.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        authority: &str,
    ) -> Result<TlsStream<TcpStream>, CliError> {
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let failed = |source| CliError::Tls { authority: authority.to_owned(), source };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| failed(io::Error::other(error)))?;
        let connector = TlsConnector::from(Arc::new(self.settings()?));
        connector.connect(name, stream).await.map_err(failed)
    }

    fn settings(&self) -> Result<ClientConfig, CliError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3");
        let verifier: Arc<dyn ServerCertVerifier> = if self.skip_verify {
            Arc::new(AnyCertificate(provider))
        } else {
            let roots = Arc::new(self.roots()?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            // The one other reason is a list of revocations, and there is none.
            verifier.map_err(|_| unusable("ca.pem seems invalid"))?
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(&error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| CliError::Host("no valid private key found".to_owned()))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&error.to_string()))
    }

    fn roots(&self) -> Result<RootCertStore, CliError> {
        let mut roots = RootCertStore::empty();
        let Some(authority) = &self.authority else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        let found = CertificateDer::pem_slice_iter(authority).filter_map(Result::ok);
        if roots.add_parsable_certificates(found).0 == 0 {
            return Err(unusable("ca.pem seems invalid"));
        }
        Ok(roots)
    }
}

fn unusable(reason: &str) -> CliError {
    CliError::Host(format!("failed to retrieve context tls info: {reason}"))
}

/// Accepts every certificate, as the user said by leaving verification out. Handshakes are still checked, so that it is
/// at least one peer that is spoken with.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
