//! Certificates of keys that sign: chains to trusted authorities, and the names in them.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use spki::ObjectIdentifier;
use spki::der::asn1::Utf8StringRef;
use spki::der::{Decode as _, Encode as _};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    RequiredEkuNotFoundContext, VerifiedPath, anchor_from_trusted_cert, ring as algorithms,
};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use crate::judgement::Signer;
use crate::key::{KeyFault, PublicKey, pem};

/// The usage "code signing", as its object identifier is written in DER.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
/// The usage that stands for all others.
const ANY_USAGE: &[u8] = &[0x55, 29, 37, 0];
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Fulcio's extension with the issuer of the token that somebody logged in by, as bare text.
const BARE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// That which has taken its place, in DER.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
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
    #[error("its certificate is of the issuer {found:?}, and not of {wanted:?}")]
    Issuer { wanted: String, found: String },
    #[error("its certificate has no usable {0}")]
    Key(#[from] KeyFault),
}

/// Authorities, and certificates between them and those that sign.
#[derive(Debug)]
pub(crate) struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// The limits of each of the anchors, in their order.
    limits: Vec<Limits>,
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
        let (mut anchors, mut limits) = (Vec::new(), Vec::new());
        for der in read(roots).ok_or(KeyFault::Authorities)? {
            let der = CertificateDer::from(der);
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| KeyFault::Authorities)?;
            anchors.push(anchor.to_owned());
            limits.push(Limits::read(&der).map_err(|_| KeyFault::Authorities)?);
        }
        let intermediates = match intermediates {
            Some(text) => read(text).ok_or(KeyFault::Authorities)?,
            None => Vec::new(),
        };
        let intermediates = intermediates.into_iter().map(CertificateDer::from).collect();
        Ok(Self { anchors, limits, intermediates })
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
                let good: &dyn Fn(&VerifiedPath<'_>) -> _ = &|path| self.check_anchor(path, time);
                let (anchors, usage) = (&self.anchors, ForCode);
                leaf.verify_for_usage(ALGORITHMS, anchors, &between, time, usage, None, Some(good))
                    .map(drop)
            })
            .map_err(CertificateFault::Chain)?;
        let certificate = Certificate::from_der(der).map_err(|fault| unreadable(&fault))?;
        let signer = names.check(&certificate)?;
        let info = certificate.tbs_certificate().subject_public_key_info().to_der();
        let key = PublicKey::of_der(&info.map_err(|fault| unreadable(&fault))?)?;
        Ok(Certified { key, signer })
    }

    /// Fails if the authority that a path has led to may not vouch for it.
    fn check_anchor(&self, path: &VerifiedPath<'_>, time: UnixTime) -> Result<(), webpki::Error> {
        let below = path.intermediate_certificates().count();
        let mut all = self.anchors.iter().zip(&self.limits);
        match all.find(|(anchor, _)| std::ptr::eq(*anchor, path.anchor())) {
            Some((_, limits)) => limits.check(time, below),
            None => Err(webpki::Error::UnknownIssuer),
        }
    }
}

/// The limits of an authority. For webpki it is a name and a key, whatever its certificate says beyond.
#[derive(Debug)]
struct Limits {
    not_before: Duration,
    not_after: Duration,
    /// True if its key may sign certificates.
    signs: bool,
    /// The most intermediates below it.
    path_length: Option<usize>,
    /// True if those below it may sign code.
    for_code: bool,
}

impl Limits {
    /// Reads them as Go does: an authority says that it is one, except in certificates of a version that could not say so.
    fn read(der: &[u8]) -> Result<Self, spki::der::Error> {
        let certificate = Certificate::from_der(der)?;
        let fields = certificate.tbs_certificate();
        let constraints = fields.get_extension::<BasicConstraints>()?;
        let usage = fields.get_extension::<KeyUsage>()?;
        let purposes = fields.get_extension::<ExtendedKeyUsage>()?;
        let is_authority = match &constraints {
            Some((_, constraints)) => constraints.ca,
            None => fields.version() != Version::V3,
        };
        // No usage at all says nothing.
        let may_sign = usage.is_none_or(|(_, usage)| usage.0.is_empty() || usage.key_cert_sign());
        let length = constraints.and_then(|(_, constraints)| constraints.path_len_constraint);
        let is_code =
            |purpose: &ObjectIdentifier| [CODE_SIGNING, ANY_USAGE].contains(&purpose.as_bytes());
        Ok(Self {
            not_before: fields.validity().not_before.to_unix_duration(),
            not_after: fields.validity().not_after.to_unix_duration(),
            signs: is_authority && may_sign,
            path_length: length.map(usize::from),
            for_code: purposes.is_none_or(|(_, purposes)| purposes.0.iter().any(is_code)),
        })
    }

    fn check(&self, time: UnixTime, below: usize) -> Result<(), webpki::Error> {
        let not_before = UnixTime::since_unix_epoch(self.not_before);
        let not_after = UnixTime::since_unix_epoch(self.not_after);
        if time < not_before {
            Err(webpki::Error::CertNotValidYet { time, not_before })
        } else if time > not_after {
            Err(webpki::Error::CertExpired { time, not_after })
        } else if !self.signs {
            Err(webpki::Error::EndEntityUsedAsCa)
        } else if self.path_length.is_some_and(|most| below > most) {
            Err(webpki::Error::PathLenConstraintViolated)
        } else if !self.for_code {
            Err(not_for_code(Vec::new()))
        } else {
            Ok(())
        }
    }
}

/// The demand that no certificate of a path is for other purposes than code, as Go has it: one that says none is for all.
struct ForCode;

impl ExtendedKeyUsageValidator for ForCode {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let good = [CODE_SIGNING, ANY_USAGE].map(KeyPurposeId::new);
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?;
            if good.contains(&purpose) {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() { Ok(()) } else { Err(not_for_code(present)) }
    }
}

fn not_for_code(present: Vec<Vec<usize>>) -> webpki::Error {
    let required = webpki::KeyUsage::required(CODE_SIGNING);
    webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present })
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
        let lacking = match (&self.email, &self.hostname) {
            (Some(email), _) if !emails.contains(&email.as_str()) => Some(email),
            (_, Some(wanted)) if !hosts.iter().any(|host| covers(host, wanted)) => Some(wanted),
            _ => None,
        };
        if let Some(wanted) = lacking {
            let found = if found.is_empty() { "nobody".to_owned() } else { found };
            return Err(CertificateFault::Name { wanted: wanted.clone(), found });
        }
        let issuer = issuer(certificate)?;
        if let Some(wanted) = self.issuer.as_ref().filter(|wanted| issuer != **wanted) {
            return Err(CertificateFault::Issuer { wanted: wanted.clone(), found: issuer });
        }
        Ok(Signer {
            names: found,
            issuer,
            authority: certificate.tbs_certificate().issuer().to_string(),
        })
    }
}

/// Says whether a name of a certificate is that of a host, or a wildcard for its first part.
fn covers(name: &str, host: &str) -> bool {
    let below = |name: &str| match name.split_once('.') {
        Some((first, rest)) if !first.is_empty() && !rest.is_empty() => {
            Some((first.to_owned(), rest.to_ascii_lowercase()))
        }
        _ => None,
    };
    let is_wildcard_for = || match (below(name), below(host)) {
        (Some((first, domain)), Some((_, of))) => first == "*" && domain == of,
        _ => false,
    };
    name.eq_ignore_ascii_case(host) || is_wildcard_for()
}

/// Returns the issuer of the token that somebody logged in by; empty if there is none. Two that differ are none.
fn issuer(certificate: &Certificate) -> Result<String, CertificateFault> {
    let bare = extension(certificate, BARE_ISSUER)?;
    let bare = bare.map(|bare| String::from_utf8_lossy(bare).into_owned());
    let written = extension(certificate, ISSUER)?.map(Utf8StringRef::from_der).transpose();
    let written = written.map_err(|fault| CertificateFault::Form(fault.to_string()))?;
    match (bare, written.map(|text| text.as_str().to_owned())) {
        (Some(bare), Some(written)) if bare != written => {
            Err(CertificateFault::Form(format!("it has the issuers {bare:?} and {written:?}")))
        }
        (bare, written) => Ok(bare.or(written).unwrap_or_default()),
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

#[cfg(test)]
mod tests;
