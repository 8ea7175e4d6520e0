//! The judgement of a server's certificate, as Go judges it.
//!
//! Validity, name and usage are checked whoever vouches for it, and a refusal has Go's words.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme,
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
    rsa::ShortKey,
    x509::{Certificate, public_key},
};

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

/// Puts webpki's judgement into Go's words.
pub(super) fn fault(error: &CertificateError) -> CertificateFault {
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

pub(super) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn expired(now: i64, relation: &'static str, limit: i64) -> CertificateFault {
    let shown = |time| {
        jiff::Timestamp::from_second(time)
            .map_or_else(|_| time.to_string(), |time| time.to_string())
    };
    CertificateFault::Expired { now: shown(now), relation, limit: shown(limit) }
}

/// Checks that a certificate is in date.
pub(super) fn check_validity(leaf: &Certificate<'_>, now: i64) -> Result<(), CertificateFault> {
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
        CertificateFault::OtherName { valid: crate::error::redact::clean(&valid, 1024), host }
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
