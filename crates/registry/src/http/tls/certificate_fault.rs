//! The faults of certificates, in Go's words.

use std::{net::IpAddr, sync::Arc};

use rustls::{CertificateError, OtherError, pki_types::UnixTime};

use super::x509::Certificate;
use crate::error::redact::clean;

/// The first bytes of the algorithms with SHA-1: for RSA, and for ECDSA.
const SHA1: [(&[u8], &str); 2] = [
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5], "SHA1-RSA"),
    (&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA-SHA1"),
];

/// The fault of a certificate, in the words that Go's `x509: ` is followed by.
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
pub(super) fn other_name(leaf: &Certificate<'_>, host: &str) -> CertificateFault {
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
        CertificateFault::OtherName { valid: clean(&valid, 1024), host }
    }
}
