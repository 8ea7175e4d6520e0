//! Certificates for a scripted registry with TLS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

/// A connection that is never shut down, only dropped.
#[derive(Debug)]
pub(super) struct Abrupt<C>(pub(super) C);

impl<C: AsyncRead + Unpin> AsyncRead for Abrupt<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Abrupt<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// A private authority with one server certificate and one client certificate signed by it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The authority's certificate, PEM.
    pub authority: String,
    /// The client's certificate, PEM.
    pub client_certificate: String,
    /// The client's key, PEM.
    pub client_key: String,
    /// The server's certificate, PEM.
    pub server_certificate: String,
    /// The server's key, PEM.
    pub server_key: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    authority_der: CertificateDer<'static>,
    ask_client: bool,
}

impl Identity {
    /// Makes an identity for servers called `names` (host names or IP addresses).
    pub fn new(names: &[&str]) -> io::Result<Self> {
        Self::make(names).map_err(io::Error::other)
    }

    fn make(names: &[&str]) -> Result<Self, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let server_key = KeyPair::generate()?;
        let server = CertificateParams::new(names)?.signed_by(&server_key, &issuer)?;
        let client_key = KeyPair::generate()?;
        let client =
            CertificateParams::new(vec!["client".to_owned()])?.signed_by(&client_key, &issuer)?;
        Ok(Self {
            authority: authority.pem(),
            client_certificate: client.pem(),
            client_key: client_key.serialize_pem(),
            server_certificate: server.pem(),
            server_key: server_key.serialize_pem(),
            certificate: server.der().clone(),
            key: server_key.serialize_der(),
            authority_der: authority.der().clone(),
            ask_client: false,
        })
    }

    /// Makes the server refuse clients that do not show a certificate of this authority.
    #[must_use]
    pub fn ask_client(mut self) -> Self {
        self.ask_client = true;
        self
    }

    /// Returns what speaks TLS with a client.
    pub(crate) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        self.server_config().map(TlsAcceptor::from)
    }

    fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = if self.ask_client {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority_der.clone()).map_err(io::Error::other)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(io::Error::other)?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(self.key.clone()).map_err(io::Error::other)?;
        let config = builder
            .with_single_cert(vec![self.certificate.clone()], key)
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}
