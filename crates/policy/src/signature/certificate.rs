//! Certificates of keys that sign: chains to trusted authorities, and the names in them.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use spki::ObjectIdentifier;
use spki::der::{Decode as _, Encode as _};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring as algorithms};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::judgement::Signer;
use crate::key::{KeyFault, PublicKey, pem};

/// The usage "code signing", as its object identifier is written in DER.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Fulcio's extension with the issuer of the token that somebody logged in by.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// The most certificates between one that signs and its authority. Fulcio has one or two.
const MAX_CHAIN: usize = 8;

const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// The reason not to believe a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateFault {
    #[error("its certificate cannot be read: {0}")]
    Form(String),
    #[error(
        "its certificate is not of a trusted authority, for code, and in date when it signed: {0}"
    )]
    Chain(webpki::Error),
    #[error("its certificate is for {found}, and not for {wanted}")]
    Name { wanted: String, found: String },
    #[error("its certificate is for somebody whom {0:?} knows")]
    Issuer(String),
    #[error("its certificate has a key that cannot be used: {0}")]
    Key(#[from] KeyFault),
}

/// Authorities, and certificates between them and those that sign.
#[derive(Debug)]
pub(crate) struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// The names that a certificate must have.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) issuer: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) hostname: Option<String>,
}

/// A key that a certificate is for.
#[derive(Debug)]
pub(crate) struct Certified {
    pub(crate) key: PublicKey,
    pub(crate) signer: Signer,
}

impl Authorities {
    /// Reads certificates in PEM.
    pub(crate) fn new(roots: &[u8], intermediates: Option<&[u8]>) -> Result<Self, KeyFault> {
        let read = |text: &[u8]| pem::all(text, "CERTIFICATE").filter(|all| !all.is_empty());
        let mut anchors = Vec::new();
        for der in read(roots).ok_or(KeyFault::Authorities)? {
            let der = CertificateDer::from(der);
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| KeyFault::Authorities)?;
            anchors.push(anchor.to_owned());
        }
        let intermediates = match intermediates {
            Some(text) => read(text).ok_or(KeyFault::Authorities)?,
            None => Vec::new(),
        };
        let intermediates = intermediates.into_iter().map(CertificateDer::from).collect();
        Ok(Self { anchors, intermediates })
    }

    /// Returns the key of the first of some certificates, if an authority vouches for it at a time, and for the names.
    pub(crate) fn check(
        &self,
        certificates: &[Vec<u8>],
        names: &Names,
        at: Duration,
    ) -> Result<Certified, CertificateFault> {
        let unreadable = |fault: &dyn std::fmt::Display| CertificateFault::Form(fault.to_string());
        let Some((der, chain)) = certificates.split_first() else {
            return Err(unreadable(&"there is none"));
        };
        let leaf = CertificateDer::from(der.as_slice());
        let mut between: Vec<CertificateDer<'_>> = self.intermediates.clone();
        between
            .extend(chain.iter().take(MAX_CHAIN).map(|der| CertificateDer::from(der.as_slice())));
        EndEntityCert::try_from(&leaf)
            .and_then(|leaf| {
                let time = UnixTime::since_unix_epoch(at);
                let usage = KeyUsage::required(CODE_SIGNING);
                leaf.verify_for_usage(ALGORITHMS, &self.anchors, &between, time, usage, None, None)
                    .map(drop)
            })
            .map_err(CertificateFault::Chain)?;
        let certificate = Certificate::from_der(der).map_err(|fault| unreadable(&fault))?;
        let signer = names.check(&certificate)?;
        let info = certificate.tbs_certificate().subject_public_key_info().to_der();
        let key = PublicKey::of_der(&info.map_err(|fault| unreadable(&fault))?)?;
        Ok(Certified { key, signer })
    }
}

impl Names {
    /// Fails if a certificate has not all of them. Returns whom it is for.
    fn check(&self, certificate: &Certificate) -> Result<Signer, CertificateFault> {
        let names = match extension(certificate, ALTERNATIVE_NAMES)? {
            Some(der) => {
                SubjectAltName::from_der(der)
                    .map_err(|fault| CertificateFault::Form(fault.to_string()))?
                    .0
            }
            None => Vec::new(),
        };
        let emails = names.iter().filter_map(|name| match name {
            GeneralName::Rfc822Name(email) => Some(email.as_str()),
            _ => None,
        });
        let emails: Vec<&str> = emails.collect();
        let hosts = names.iter().filter_map(|name| match name {
            GeneralName::DnsName(host) => Some(host.as_str()),
            _ => None,
        });
        let hosts: Vec<&str> = hosts.collect();
        let found = [emails.as_slice(), &hosts].concat().join(", ");
        let is_host = |host: &&str, wanted: &str| host.eq_ignore_ascii_case(wanted);
        let lacking = match (&self.email, &self.hostname) {
            (Some(email), _) if !emails.contains(&email.as_str()) => Some(email),
            (_, Some(wanted)) if !hosts.iter().any(|host| is_host(host, wanted)) => Some(wanted),
            _ => None,
        };
        if let Some(wanted) = lacking {
            let found = if found.is_empty() { "nobody".to_owned() } else { found };
            return Err(CertificateFault::Name { wanted: wanted.clone(), found });
        }
        let issuer = extension(certificate, ISSUER)?.unwrap_or_default();
        if self.issuer.as_ref().is_some_and(|wanted| issuer != wanted.as_bytes()) {
            return Err(CertificateFault::Issuer(String::from_utf8_lossy(issuer).into_owned()));
        }
        Ok(Signer {
            names: found,
            issuer: String::from_utf8_lossy(issuer).into_owned(),
            authority: certificate.tbs_certificate().issuer().to_string(),
        })
    }
}

/// Returns the content of an extension; an error if it is there twice, as nobody knows then which one counts.
fn extension(
    certificate: &Certificate,
    id: ObjectIdentifier,
) -> Result<Option<&[u8]>, CertificateFault> {
    let all = certificate.tbs_certificate().extensions().into_iter().flatten();
    let mut found = all.filter(|extension| extension.extn_id == id);
    let first = found.next().map(|extension| extension.extn_value.as_bytes());
    match found.next() {
        None => Ok(first),
        Some(_) => Err(CertificateFault::Form(format!("it has the extension {id} twice"))),
    }
}
