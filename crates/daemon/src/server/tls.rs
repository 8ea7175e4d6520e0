//! TLS towards clients, with or without certificates of theirs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error as RustlsError, RootCertStore, ServerConfig};

use crate::config::{TlsFiles, TlsMode};
use crate::lock::lock;

/// Fault of the files for TLS, in dockerd's words.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Certificate or key is not there.
    #[error(
        "invalid TLS configuration: could not load X509 key pair (cert: {certificate:?}, key: {key:?}): {source}"
    )]
    Missing {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Error of the system.
        source: pem::Error,
    },
    /// Certificate or key is not what it should be.
    #[error(
        "invalid TLS configuration: error reading X509 key pair - make sure the key is not encrypted (cert: \
         {certificate:?}, key: {key:?}): {reason}"
    )]
    KeyPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Fault of the pair.
        reason: String,
    },
    /// The clients' authority cannot be read.
    #[error("invalid TLS configuration: could not read CA certificate {path:?}: {source}")]
    Authority {
        /// The authority's file.
        path: PathBuf,
        /// Fault of the file.
        source: pem::Error,
    },
    /// The clients' authority is none.
    #[error(
        "invalid TLS configuration: failed to append certificates from PEM file: {path:?}: {source}"
    )]
    NoAuthority {
        /// The authority's file.
        path: PathBuf,
        /// Fault of the file.
        source: VerifierBuilderError,
    },
}

/// TLS settings of the daemon: its own certificate, and its demands on those of clients.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. Blocking, shortly.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = Mutex::new(Arc::new(settings(&files)?));
        Ok(Self { files, current })
    }

    /// Reads the files again, for connections from now on. If that fails all stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let settings = Arc::new(settings(&self.files)?);
        *lock(&self.current) = settings;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&lock(&self.current)).into()
    }
}

fn settings(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let (chain, key) = key_pair(&files.certificate, &files.key)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3");
    let builder = match files.mode {
        TlsMode::Encrypt => builder.with_no_client_auth(),
        TlsMode::Verify => {
            let path = &files.authority;
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|source| TlsError::NoAuthority { path: path.clone(), source })?,
            )
        }
    };
    let unfit = |error: RustlsError| TlsError::KeyPair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        reason: error.to_string(),
    };
    let mut settings = builder.with_single_cert(chain, key).map_err(unfit)?;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(settings)
}

fn key_pair(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let failed = |error: pem::Error| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        match error {
            pem::Error::Io(_) => TlsError::Missing { certificate, key, source: error },
            other => TlsError::KeyPair { certificate, key, reason: other.to_string() },
        }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(failed)?;
    Ok((chain, key))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let unreadable = |source| TlsError::Authority { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    // Like Go, take what can be read; that nothing is left is found out afterwards.
    roots.add_parsable_certificates(found.filter_map(Result::ok));
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use test_support::scripted::Identity;

    use super::*;

    fn load(mode: TlsMode, texts: [&str; 3]) -> Result<Tls, String> {
        let directory = tempfile::tempdir().unwrap();
        let [authority, certificate, key] =
            ["ca.pem", "cert.pem", "key.pem"].map(|name| directory.path().join(name));
        for (path, text) in [&authority, &certificate, &key].into_iter().zip(texts) {
            if !text.is_empty() {
                fs::write(path, text).unwrap();
            }
        }
        let files = TlsFiles { mode, authority, certificate, key };
        let folder = format!("{}/", directory.path().display());
        Tls::load(files).map_err(|error| error.to_string().replace(&folder, ""))
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said_in_dockerds_words() {
        let own = Identity::new(&["localhost"]).unwrap();
        let other = Identity::new(&["localhost"]).unwrap();
        let (ca, cert, key) = (&*own.authority, &*own.server_certificate, &*own.server_key);
        load(TlsMode::Verify, [ca, cert, key]).unwrap();
        load(TlsMode::Encrypt, ["", cert, key]).unwrap();
        let pair = r#"(cert: "cert.pem", key: "key.pem"): "#;
        for (mode, texts, expected) in [
            (TlsMode::Encrypt, ["", "", key], format!("could not load X509 key pair {pair}")),
            (TlsMode::Encrypt, ["", cert, ""], format!("could not load X509 key pair {pair}")),
            (
                TlsMode::Encrypt,
                ["", "x", key],
                format!("error reading X509 key pair - make sure the key is not encrypted {pair}"),
            ),
            (
                TlsMode::Encrypt,
                ["", cert, cert],
                format!("error reading X509 key pair - make sure the key is not encrypted {pair}"),
            ),
            (
                TlsMode::Encrypt,
                ["", cert, &other.server_key],
                format!("error reading X509 key pair - make sure the key is not encrypted {pair}"),
            ),
            (
                TlsMode::Verify,
                ["", cert, key],
                r#"could not read CA certificate "ca.pem": "#.into(),
            ),
            (
                TlsMode::Verify,
                ["x", cert, key],
                r#"failed to append certificates from PEM file: "ca.pem""#.into(),
            ),
        ] {
            let error = load(mode, texts).unwrap_err();
            let expected = format!("invalid TLS configuration: {expected}");
            assert!(error.starts_with(&expected), "{error}\nnot: {expected}");
        }
    }
}
