//! The judgement of a server's certificate, as Go judges it.
//!
//! Chains are webpki's to check. Beside it, as with Go: a certificate that is an anchor itself needs nobody to vouch for
//! it, even if it may sign others (`openssl req -x509` makes such); and one that may sign others is good for a server
//! where an anchor has signed it. Validity, name and usage are checked in any case, and a refusal has Go's words.

use std::{collections::HashSet, fmt, net::IpAddr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::x509::{Certificate, public_key};

/// The first bytes of the algorithms with SHA-1: for RSA, and for ECDSA.
const SHA1: [(&[u8], &str); 2] = [
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5], "SHA1-RSA"),
    (&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA-SHA1"),
];

/// Why a certificate is refused, in the words that Go's `x509: ` is followed by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateFault {
    #[error("malformed certificate")]
    Malformed,
    #[error(
        "certificate has expired or is not yet valid: current time {now} is {relation} {limit}"
    )]
    Expired { now: String, relation: &'static str, limit: String },
    #[error("certificate is valid for {valid}, not {host}")]
    OtherName { valid: String, host: String },
    #[error("certificate is not valid for any names, but wanted to match {host}")]
    NoNames { host: String },
    #[error("cannot validate certificate for {host} because it doesn't contain any IP SANs")]
    NoAddresses { host: String },
    #[error("certificate relies on legacy Common Name field, use SANs instead")]
    CommonName,
    #[error("certificate specifies an incompatible key usage")]
    Usage,
    #[error("certificate signed by unknown authority")]
    UnknownAuthority,
    #[error(
        "certificate signed by unknown authority (possibly because of \"x509: cannot verify signature: {0}\")"
    )]
    Algorithm(String),
    #[error("unhandled critical extension")]
    CriticalExtension,
    #[error("the chain of certificates is not valid: {0}")]
    Chain(String),
}

impl From<CertificateFault> for rustls::Error {
    fn from(fault: CertificateFault) -> Self {
        CertificateError::Other(OtherError(Arc::new(fault))).into()
    }
}

/// The verifier of servers that are checked.
pub(super) struct Verifier {
    roots: RootCertStore,
    /// The certificates that users named, whole.
    anchors: HashSet<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("anchors", &self.anchors.len()).finish_non_exhaustive()
    }
}

impl Verifier {
    pub(super) fn new(
        roots: RootCertStore,
        anchors: HashSet<CertificateDer<'static>>,
        provider: &CryptoProvider,
    ) -> Self {
        Self { roots, anchors, algorithms: provider.signature_verification_algorithms }
    }

    /// Tells whether an anchor of the user has signed a certificate.
    fn is_signed(&self, leaf: &Certificate<'_>) -> bool {
        self.anchors.iter().filter_map(|anchor| Certificate::parse(anchor)).any(|anchor| {
            anchor.subject == leaf.issuer
                && anchor.is_authority != Some(false)
                && !anchor.is_constrained
                && self.algorithms.all.iter().any(|algorithm| {
                    *algorithm.signature_alg_id() == *leaf.signature_algorithm
                        && *algorithm.public_key_alg_id() == *anchor.key_algorithm
                        && algorithm
                            .verify_signature(anchor.key, leaf.signed, leaf.signature)
                            .is_ok()
                })
        })
    }

    fn chain(
        &self,
        (der, leaf): (&ParsedCertificate<'_>, &Certificate<'_>),
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateFault> {
        let all = self.algorithms.all;
        let checked =
            verify_server_cert_signed_by_trust_anchor(der, &self.roots, intermediates, now, all);
        match checked {
            Ok(()) => Ok(()),
            // Whatever webpki says of it: it says it of those first that may sign others.
            Err(_) if leaf.is_authority == Some(true) && self.is_signed(leaf) => Ok(()),
            Err(_) if leaf.is_authority == Some(true) => Err(CertificateFault::UnknownAuthority),
            Err(rustls::Error::InvalidCertificate(error)) => Err(fault(&error)),
            Err(error) => Err(CertificateFault::Chain(error.to_string())),
        }
    }
}

/// Puts webpki's judgement into Go's words.
fn fault(error: &CertificateError) -> CertificateFault {
    use CertificateError as E;
    match error {
        E::BadEncoding => CertificateFault::Malformed,
        E::ExpiredContext { time, not_after } => {
            expired(seconds(*time), "after", seconds(*not_after))
        }
        E::NotValidYetContext { time, not_before } => {
            expired(seconds(*time), "before", seconds(*not_before))
        }
        // Another key of the same name: Go says no more of it, either.
        E::UnknownIssuer | E::BadSignature => CertificateFault::UnknownAuthority,
        E::UnhandledCriticalExtension => CertificateFault::CriticalExtension,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => CertificateFault::Usage,
        E::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { signature_algorithm_id, .. } => {
            let weak = SHA1.iter().find(|(id, _)| signature_algorithm_id.starts_with(id));
            CertificateFault::Algorithm(match weak {
                Some((_, name)) => format!("insecure algorithm {name}"),
                None => "algorithm unimplemented".to_owned(),
            })
        }
        E::Other(OtherError(other)) => CertificateFault::Chain(words(&other.to_string())),
        other => CertificateFault::Chain(words(&other.to_string())),
    }
}

/// Makes words of a name in a program: `MaximumPathDepthExceeded` is `maximum path depth exceeded`.
fn words(name: &str) -> String {
    let name = name.split(['(', '{']).next().unwrap_or_default().trim();
    if name.contains(' ') {
        return name.to_owned();
    }
    let mut words = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn expired(now: i64, relation: &'static str, limit: i64) -> CertificateFault {
    let shown = |time| {
        jiff::Timestamp::from_second(time)
            .map_or_else(|_| time.to_string(), |time| time.to_string())
    };
    CertificateFault::Expired { now: shown(now), relation, limit: shown(limit) }
}

fn check_validity(leaf: &Certificate<'_>, now: i64) -> Result<(), CertificateFault> {
    if now < leaf.not_before {
        Err(expired(now, "before", leaf.not_before))
    } else if now > leaf.not_after {
        Err(expired(now, "after", leaf.not_after))
    } else {
        Ok(())
    }
}

/// Says why a certificate is not for a host, as Go's `HostnameError` does.
fn other_name(leaf: &Certificate<'_>, host: &str) -> CertificateFault {
    let host = host.to_owned();
    let Some(names) = &leaf.names else {
        let common = leaf.common_name();
        return match host.parse::<IpAddr>() {
            _ if common.is_some_and(|name| name.eq_ignore_ascii_case(&host)) => {
                CertificateFault::CommonName
            }
            Ok(_) => CertificateFault::NoAddresses { host },
            Err(_) => CertificateFault::NoNames { host },
        };
    };
    let valid = if host.parse::<IpAddr>().is_ok() {
        if names.addresses.is_empty() {
            return CertificateFault::NoAddresses { host };
        }
        names.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    } else {
        names.hosts.join(", ")
    };
    if valid.is_empty() {
        CertificateFault::NoNames { host }
    } else {
        CertificateFault::OtherName { valid: crate::redact::clean(&valid, 1024), host }
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
        if !self.anchors.contains(end_entity) {
            self.chain((&parsed, &leaf), intermediates, now)?;
        }
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
