//! TLS settings: the system's authorities, `certs.d`, and no checks at all for insecure registries.

mod algorithms;
mod authorities;
mod certificate_fault;
mod exchange;
mod hash;
mod identity;
mod rsa;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod verifier;
mod x509;

use std::{io, path::Path, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};

pub(crate) use authorities::Authorities;
pub(crate) use certificate_fault::CertificateFault;

use crate::{SettingsError, hosts::file::Settings};
use algorithms::provider;
use identity::Identities;
use verifier::Verifier;
use x509::Certificate;
pub(crate) use x509::public_key;

/// The largest certificate or key file that is read; bundles of all public authorities have a quarter of it.
const MAX_PEM: u64 = 1 << 20;
/// The most files read from one directory.
pub(crate) const MAX_FILES: usize = 128;

/// The files of `certs.d` for one registry, as bytes: equal material makes equal connections, so that they can be shared,
/// and a file that was put there after the start is seen, as dockerd sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Material {
    authorities: Vec<(PathBuf, Vec<u8>)>,
    identities: Vec<Pair>,
}

/// The time in which a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: i64,
    /// Its last one.
    pub not_after: i64,
}

impl Validity {
    /// Reads that of a certificate; nothing if it is malformed.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let Certificate { not_before, not_after, .. } = Certificate::parse(der)?;
        Some(Self { not_before, not_after })
    }
}

/// Says of a file of certificates that there is none in it.
pub(crate) fn without_certificate(path: &Path) -> String {
    format!(
        "{}: no certificate in this file (PEM, from -----BEGIN CERTIFICATE----- on)",
        path.display()
    )
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Pair {
    certificate: (PathBuf, Vec<u8>),
    key: (PathBuf, Vec<u8>),
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pair").field(&self.certificate.0).finish_non_exhaustive()
    }
}

impl Material {
    /// Reads what a `hosts.toml` names for a host. Blocking.
    pub(crate) fn add(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        for path in &settings.authorities {
            let authority = read_file(path)?;
            let mut certificates = CertificateDer::pem_slice_iter(&authority.1);
            if !certificates.any(|certificate| certificate.is_ok()) {
                let reason = "no certificate in this file".to_owned();
                return Err(SettingsError::BadCertificate { path: path.clone(), reason });
            }
            self.authorities.push(authority);
        }
        for (certificate, key) in &settings.identities {
            let certificate = read_file(certificate)?;
            let key = match key {
                Some(key) => read_file(key)?,
                None => certificate.clone(),
            };
            self.identities.push(Pair { certificate, key });
        }
        Ok(())
    }

    /// Leaves out what this machine would show of itself.
    #[must_use]
    pub(crate) fn without_identities(self) -> Self {
        Self { identities: Vec::new(), ..self }
    }

    /// Returns the files with authorities.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = &Path> {
        self.authorities.iter().map(|(path, _)| path.as_path())
    }

    /// Returns the files with certificates, with their content.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        let of_clients = self.identities.iter().map(|pair| &pair.certificate);
        self.authorities
            .iter()
            .chain(of_clients)
            .map(|(path, pem)| (path.as_path(), pem.as_slice()))
    }

    /// Returns the files with client certificates.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &Path> {
        self.identities.iter().map(|pair| pair.certificate.0.as_path())
    }

    /// Reads `<directory>/<registry>/*` with dockerd's rules: `*.crt` are authorities, `*.cert` with `*.key` client
    /// certificates. Blocking.
    pub(crate) fn load(directories: &[PathBuf], registry: &str) -> Result<Self, SettingsError> {
        let mut material = Self::default();
        for directory in directories {
            material.load_directory(&directory.join(registry))?;
        }
        Ok(material)
    }

    fn load_directory(&mut self, directory: &Path) -> Result<(), SettingsError> {
        let failed = |source| SettingsError::ReadCertificates { path: directory.into(), source };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries.take(MAX_FILES) {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort_unstable();
        for name in &names {
            if name.strip_suffix(".crt").is_some() {
                self.authorities.push(read(directory, name)?);
            } else if let Some(stem) = name.strip_suffix(".cert") {
                let key = format!("{stem}.key");
                if !names.contains(&key) {
                    return Err(SettingsError::MissingKey { key, certificate: name.clone() });
                }
                let certificate = read(directory, name)?;
                self.identities.push(Pair { certificate, key: read(directory, &key)? });
            } else if let Some(stem) = name.strip_suffix(".key") {
                let certificate = format!("{stem}.cert");
                if !names.contains(&certificate) {
                    return Err(SettingsError::MissingCertificate {
                        certificate,
                        key: name.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// No such directory, or a name that no directory can have on this system.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename)
}

fn read(directory: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), SettingsError> {
    read_file(&directory.join(name))
}

fn read_file(path: &Path) -> Result<(PathBuf, Vec<u8>), SettingsError> {
    use io::Read;
    let path = path.to_owned();
    // A FIFO would hold up whoever reads it.
    let metadata = std::fs::metadata(&path);
    if metadata.is_ok_and(|metadata| !metadata.is_file()) {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(SettingsError::ReadCertificates { path, source });
    }
    let mut bytes = Vec::new();
    let done =
        std::fs::File::open(&path).and_then(|file| file.take(MAX_PEM + 1).read_to_end(&mut bytes));
    match done {
        Ok(_) if bytes.len() as u64 > MAX_PEM => {
            let reason = format!("larger than {MAX_PEM} bytes");
            Err(SettingsError::BadCertificate { path, reason })
        }
        Ok(_) => Ok((path, bytes)),
        Err(source) => Err(SettingsError::ReadCertificates { path, source }),
    }
}

/// Reads the system's authorities. None is no failure: plain HTTP and `certs.d` work without. Blocking.
pub(crate) fn native_roots() -> Authorities {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "the system's certificates");
    }
    let roots = Authorities::new(found.certs);
    tracing::debug!(?roots, "the system's certificates");
    roots
}

/// Makes the settings for registries that are checked.
pub(crate) fn secure(
    native: &Arc<Authorities>,
    material: &Material,
) -> Result<ClientConfig, SettingsError> {
    let mut own = Vec::new();
    for (path, pem) in &material.authorities {
        // Like Go, take what can be read; a file without any certificate is worth a word.
        let before = own.len();
        own.extend(
            CertificateDer::pem_slice_iter(pem)
                .filter_map(Result::ok)
                .filter(|der| Certificate::parse(der).is_some()),
        );
        if own.len() == before {
            tracing::warn!(target: crate::NOTICES, "{}", without_certificate(path));
        }
    }
    let own = Authorities::new(own);
    let provider = provider(!own.is_empty());
    let verifier = Arc::new(Verifier::new(Arc::clone(native), own, &provider));
    identified(builder(provider).dangerous().with_custom_certificate_verifier(verifier), material)
}

/// Makes the settings for insecure registries: any certificate will do.
pub(crate) fn insecure(material: &Material) -> Result<ClientConfig, SettingsError> {
    let provider = provider(true);
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    identified(builder(provider).dangerous().with_custom_certificate_verifier(verifier), material)
}

fn identified(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    material: &Material,
) -> Result<ClientConfig, SettingsError> {
    let identities = material.identities.iter().map(certified).collect::<Result<Vec<_>, _>>()?;
    Ok(if identities.is_empty() {
        builder.with_no_client_auth()
    } else {
        builder.with_client_cert_resolver(Arc::new(Identities(identities)))
    })
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
}

fn certified(pair: &Pair) -> Result<Arc<CertifiedKey>, SettingsError> {
    let bad = |(path, _): &(PathBuf, Vec<u8>), reason: &dyn std::fmt::Display| {
        SettingsError::BadCertificate { path: path.clone(), reason: reason.to_string() }
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pair.certificate.1)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(&pair.certificate, &error))?;
    if chain.is_empty() {
        return Err(bad(&pair.certificate, &"no certificate in this file"));
    }
    let key = PrivateKeyDer::from_pem_slice(&pair.key.1).map_err(|error| bad(&pair.key, &error))?;
    let certified = identity::certified(chain, key, &provider(false));
    certified.map(Arc::new).map_err(|error| bad(&pair.key, &error))
}

/// Accepts every certificate, as the user said for this registry. Handshakes are still checked, so that it is at
/// least one peer that is spoken with.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.0.signature_verification_algorithms
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verifier::handshake(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verifier::handshake(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

#[cfg(test)]
mod directory_tests {
    use std::fs;

    use test_support::scripted::Identity;

    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Material, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let registry = directory.path().join("registry.corp:5000");
        fs::create_dir(&registry).unwrap();
        for (name, content) in files {
            fs::write(registry.join(name), content).unwrap();
        }
        Material::load(&[directory.path().into()], "registry.corp:5000")
    }

    #[test]
    fn reads_the_directory_with_dockerds_rules() {
        for (files, expected) in [
            (vec![], "0 authorities, 0 identities"),
            (vec!["ca.crt", "other.crt", "README"], "2 authorities, 0 identities"),
            (vec!["client.cert", "client.key", "ca.crt"], "1 authorities, 1 identities"),
            (
                vec!["client.cert"],
                "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt",
            ),
            (vec!["client.key"], "missing client certificate client.cert for key client.key"),
        ] {
            let files: Vec<_> = files.iter().map(|name| (*name, "x")).collect();
            let shown = match load(&files) {
                Ok(found) => {
                    format!(
                        "{} authorities, {} identities",
                        found.authorities.len(),
                        found.identities.len()
                    )
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, expected, "{files:?}");
        }
        assert_eq!(
            Material::load(&["/nonexistent".into()], "registry.corp").unwrap(),
            Material::default()
        );
    }

    #[test]
    fn makes_settings_of_what_it_read() {
        let identity = Identity::new(&["127.0.0.1"]).unwrap();
        let material = load(&[
            ("ca.crt", &identity.authority),
            ("client.cert", &identity.client_certificate),
            ("client.key", &identity.client_key),
        ]);
        let config = secure(&Arc::default(), &material.unwrap()).unwrap();
        assert!(config.client_auth_cert_resolver.has_certs());

        for (files, part) in [
            (vec![("a.cert", ""), ("a.key", "")], "a.cert`: no certificate in this file"),
            (vec![("a.cert", identity.client_certificate.as_str()), ("a.key", "x")], "a.key`:"),
            (
                vec![
                    ("a.cert", identity.client_certificate.as_str()),
                    ("a.key", identity.server_key.as_str()),
                ],
                "a.key`:",
            ),
        ] {
            let error = secure(&Arc::default(), &load(&files).unwrap()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        // Nonsense among the authorities is passed over.
        assert!(secure(&Arc::default(), &load(&[("ca.crt", "x")]).unwrap()).is_ok());
    }
}
