//! Failures of the HTTP library in Go's words.

use std::{error::Error as StdError, io};

use reqwest::Url;
use rustls::{CertificateError, InvalidMessage, OtherError, PeerIncompatible};

use super::{dns, tls::CertificateFault};
use crate::{
    LookupFailed,
    error::{
        fault::{DIAL_TIMEOUT, RequestFault},
        redact::shown,
    },
    http::links::host_and_port,
};

/// The library's words for a 407 to a tunnel; its type is not for others.
const TUNNEL_LOGIN: &str = "proxy authorization required";
/// The same of a proxy that made no connection, whatever its answer was.
const TUNNEL_REFUSED: &str = "unsuccessful";
const TUNNEL: &str = "tunnel error: ";

/// Turns a failure of the HTTP library into Go's words. `proxy` is the proxy that the request went to, if any.
///
/// `written` is the registry's host as the user wrote it: URLs are in lower case.
pub(crate) async fn classify(
    error: &reqwest::Error,
    (url, written): (&Url, &str),
    proxy: Option<&Url>,
) -> RequestFault {
    let dialling = error.is_connect();
    let chain = Chain::of(error);
    if let Some(mut lookup) = chain.lookup {
        if lookup.host.eq_ignore_ascii_case(written) {
            written.clone_into(&mut lookup.host);
        }
        return RequestFault::Lookup { proxied: proxy.is_some(), lookup };
    }
    if let Some(tls) = chain.tls {
        return tls;
    }
    if let Some(proxy) = proxy.filter(|_| chain.last.contains(TUNNEL_LOGIN)) {
        return RequestFault::proxy_login(proxy);
    }
    if let Some(hyper) = chain.hyper {
        return hyper;
    }
    if let Some(proxy) = proxy.filter(|_| chain.last.contains(TUNNEL)) {
        let (host, port) = host_and_port(url);
        let has_answered = chain.last.ends_with(TUNNEL_REFUSED);
        let host = format!("{host}:{port}");
        return RequestFault::ProxyRefused { proxy: shown(proxy), has_answered, host };
    }
    let reason = match chain.io {
        Some(kind) => io_words(kind, dialling),
        // Who takes connections and then says nothing leaves TLS to wait.
        None if error.is_timeout() && dialling && proxy.is_none() && url.scheme() == "https" => {
            if dns::takes_connections(url).await {
                return RequestFault::TlsTimeout;
            }
            Some(DIAL_TIMEOUT)
        }
        None if error.is_timeout() && dialling => Some(DIAL_TIMEOUT),
        None if error.is_timeout() => return RequestFault::ResponseTimeout,
        None => None,
    };
    match reason {
        Some(reason @ ("EOF" | "read: connection reset by peer" | "write: broken pipe")) => {
            RequestFault::Broken { reason: reason.to_owned(), dialling }
        }
        Some(reason) if dialling => RequestFault::Dial {
            proxied: proxy.is_some(),
            address: dns::dialled(proxy.unwrap_or(url)).await,
            reason: reason.to_owned(),
        },
        Some(reason) => RequestFault::Broken { reason: reason.to_owned(), dialling },
        None => RequestFault::Transport { reason: chain.last },
    }
}

/// Returns Go's words for a body that ended in the middle.
pub(crate) fn body_words(error: &reqwest::Error) -> String {
    match Chain::of(error).io.and_then(|kind| io_words(kind, false)) {
        Some("EOF") | None => "unexpected EOF".to_owned(),
        Some(words) => words.to_owned(),
    }
}

/// Tells whether a body ended with the connection, as TLS without `close_notify` does.
pub(crate) fn is_unclean_end(error: &reqwest::Error) -> bool {
    Chain::of(error).io == Some(io::ErrorKind::UnexpectedEof)
}

fn io_words(kind: io::ErrorKind, dialling: bool) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match kind {
        Kind::ConnectionRefused => "connect: connection refused",
        Kind::HostUnreachable => "connect: no route to host",
        Kind::NetworkUnreachable => "connect: network is unreachable",
        Kind::AddrNotAvailable => "connect: cannot assign requested address",
        Kind::PermissionDenied => "connect: permission denied",
        Kind::TimedOut if dialling => DIAL_TIMEOUT,
        Kind::TimedOut => "read: connection timed out",
        Kind::ConnectionReset | Kind::ConnectionAborted => "read: connection reset by peer",
        Kind::BrokenPipe => "write: broken pipe",
        Kind::UnexpectedEof => "EOF",
        _ => return None,
    })
}

/// The causes of interest in an error's chain.
#[derive(Default)]
struct Chain {
    lookup: Option<LookupFailed>,
    tls: Option<RequestFault>,
    hyper: Option<RequestFault>,
    io: Option<io::ErrorKind>,
    last: String,
}

impl Chain {
    fn of(error: &reqwest::Error) -> Self {
        let mut chain = Self::default();
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(cause) = next {
            chain.last = cause.to_string();
            next = cause.source();
            if let Some(lookup) = cause.downcast_ref::<LookupFailed>() {
                chain.lookup = Some(lookup.clone());
            } else if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                chain.tls = Some(tls_words(tls));
            } else if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
                if hyper.is_incomplete_message() {
                    let reason = "EOF".to_owned();
                    chain.hyper = Some(RequestFault::Broken { reason, dialling: false });
                } else if hyper.is_parse() {
                    chain.hyper = Some(RequestFault::Malformed);
                }
            } else if let Some(io) = cause.downcast_ref::<io::Error>() {
                chain.io = Some(io.kind());
                // `source` of such an error skips what it wraps.
                next = match io.get_ref() {
                    Some(inner) => Some(inner),
                    None => next,
                };
            }
        }
        chain
    }
}

fn tls_words(error: &rustls::Error) -> RequestFault {
    let reason = match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return RequestFault::PlainHttp;
        }
        rustls::Error::InvalidCertificate(certificate) => {
            format!("tls: failed to verify certificate: x509: {}", certificate_words(certificate))
        }
        rustls::Error::AlertReceived(alert) => {
            format!("remote error: tls: {}", alert_words(*alert))
        }
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "tls: server selected unsupported protocol version".to_owned(),
        rustls::Error::PeerIncompatible(_) => {
            "tls: the server offers no parameters that are supported".to_owned()
        }
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(_) => "tls: unexpected message".to_owned(),
        rustls::Error::DecryptError => "local error: tls: bad record MAC".to_owned(),
        rustls::Error::PeerSentOversizedRecord => "tls: oversized record received".to_owned(),
        rustls::Error::NoCertificatesPresented => {
            "tls: received empty certificates message".to_owned()
        }
        _ => "tls: handshake failure".to_owned(),
    };
    RequestFault::Tls { reason }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(OtherError(other)) if other.is::<CertificateFault>() => {
            other.to_string()
        }
        // Of the handshake: the peer has not got the key of the certificate that it shows.
        CertificateError::BadSignature => "invalid signature by the server certificate".to_owned(),
        _ => "the certificate cannot be used".to_owned(),
    }
}

/// Returns Go's words for an alert.
fn alert_words(alert: rustls::AlertDescription) -> String {
    use rustls::AlertDescription as Alert;
    let words = match alert {
        Alert::UnexpectedMessage => "unexpected message",
        Alert::BadRecordMac => "bad record MAC",
        Alert::RecordOverflow => "record overflow",
        Alert::HandshakeFailure => "handshake failure",
        Alert::BadCertificate => "bad certificate",
        Alert::UnsupportedCertificate => "unsupported certificate",
        Alert::CertificateRevoked => "revoked certificate",
        Alert::CertificateExpired => "expired certificate",
        Alert::CertificateUnknown => "unknown certificate",
        Alert::IllegalParameter => "illegal parameter",
        Alert::UnknownCA => "unknown certificate authority",
        Alert::AccessDenied => "access denied",
        Alert::DecodeError => "error decoding message",
        Alert::DecryptError => "error decrypting message",
        Alert::ProtocolVersion => "protocol version not supported",
        Alert::InsufficientSecurity => "insufficient security level",
        Alert::InternalError => "internal error",
        Alert::InappropriateFallback => "inappropriate fallback",
        Alert::UserCanceled => "user canceled",
        Alert::NoRenegotiation => "no renegotiation",
        Alert::MissingExtension => "missing extension",
        Alert::UnsupportedExtension => "unsupported extension",
        Alert::UnrecognisedName => "unrecognized name",
        Alert::CertificateRequired => "certificate required",
        Alert::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    };
    words.to_owned()
}
