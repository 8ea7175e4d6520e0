//! Requests that got no answer, told in the words of Go's HTTP client, which are dockerd's.

use std::{error::Error as StdError, fmt, io, net::IpAddr, time::Duration};

use http::Method;
use reqwest::Url;
use rustls::{CertificateError, InvalidMessage, OtherError, PeerIncompatible};

use crate::{
    Recovery, RegistryError,
    dns::LookupFailed,
    redact::{quoted, shown},
    tls::CertificateFault,
};

/// A request that got no answer: `Get "https://host/v2/": dial tcp …`.
#[derive(Debug)]
pub struct RequestFailed {
    /// The method.
    pub method: Method,
    /// The URL without its secrets.
    pub url: String,
    /// What happened.
    pub fault: RequestFault,
    /// Whether this endpoint had answered before, so that its absence is likely to be short.
    pub established: bool,
}

impl StdError for RequestFailed {}

impl fmt::Display for RequestFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", request_words(&self.method, &self.url), self.fault)
    }
}

/// Returns a request as Go's errors name it: the method as a word, the URL quoted.
pub(crate) fn request_words(method: &Method, url: &str) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{} {}", rest.to_ascii_lowercase(), quoted(url))
}

impl RequestFailed {
    pub(crate) fn recovery(&self) -> Recovery {
        match &self.fault {
            // Who has not even answered the first question is not asked again.
            fault if fault.is_timeout() && !self.established => Recovery::NextEndpoint,
            // Who has answered before is likely to do so again.
            RequestFault::Lookup { .. }
            | RequestFault::Dial { .. }
            | RequestFault::TlsTimeout
            | RequestFault::Broken { .. }
            | RequestFault::Transport { .. }
                if self.established =>
            {
                Recovery::Retry { after: None }
            }
            RequestFault::ResponseTimeout
            | RequestFault::SendTimeout { .. }
            | RequestFault::LittleTaken { .. }
            | RequestFault::Broken { dialling: false, .. } => Recovery::Retry { after: None },
            RequestFault::Token(error) => match error.recovery() {
                // Another endpoint has another token server, or none.
                Recovery::Fail if error.is_unreachable() => Recovery::NextEndpoint,
                recovery => recovery,
            },
            RequestFault::NoBasicCredentials
            | RequestFault::TooManyRedirects
            | RequestFault::PrivateAddress { .. }
            | RequestFault::Redirect { .. }
            | RequestFault::BadRealm { .. }
            | RequestFault::ProxyLogin { .. }
            | RequestFault::InsecureRealm { .. } => Recovery::Fail,
            _ => Recovery::NextEndpoint,
        }
    }

    /// Returns what the token server said, if that is what the request failed with.
    pub(crate) fn refusal(&self) -> Option<&RegistryError> {
        match &self.fault {
            RequestFault::Token(error) => Some(error),
            _ => None,
        }
    }
}

impl RegistryError {
    /// Tells whether the failure is that nobody said anything in time.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Request(failed) if failed.fault.is_timeout())
    }
}

/// Why a request got no answer. `Display` is Go's sentence where it has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The host's name has no address.
    #[error("{}dial tcp: {lookup}", via(*.proxied))]
    Lookup {
        /// Whether the host is the proxy.
        proxied: bool,
        /// What the resolver said.
        lookup: LookupFailed,
    },
    /// The host is one that may not be asked.
    #[error("{address} {why}")]
    PrivateAddress {
        /// The host's address.
        address: std::net::IpAddr,
        /// The reason.
        why: &'static str,
    },
    /// The host does not take connections.
    #[error("{}dial tcp {address}: {reason}", via(*.proxied))]
    Dial {
        /// Whether the host is the proxy.
        proxied: bool,
        /// Host and port, as an IP address where it is known.
        address: String,
        /// `connect: connection refused`, `i/o timeout`.
        reason: String,
    },
    /// The server's or our certificate, or TLS as such, was refused.
    #[error("{reason}")]
    Tls {
        /// Go's words.
        reason: String,
    },
    /// The server does not speak TLS on this port.
    #[error("http: server gave HTTP response to HTTPS client")]
    PlainHttp,
    /// The connection broke.
    #[error("{reason}")]
    Broken {
        /// `EOF`, `read: connection reset by peer`.
        reason: String,
        /// Whether there was no connection yet, only an attempt at one.
        dialling: bool,
    },
    /// The server does not speak HTTP.
    #[error("malformed HTTP response")]
    Malformed,
    /// No answer began in time.
    #[error("net/http: timeout awaiting response headers")]
    ResponseTimeout,
    /// The host asked for a wait that is not over, and there are others to ask.
    #[error("it asked to be left alone ({status}), for {} s more", left.as_secs())]
    HeldOff {
        /// What is left of the wait.
        left: Duration,
        /// How it asked.
        status: String,
    },
    /// The server stopped reading an upload.
    #[error("write: i/o timeout: nothing sent for {} ms", after.as_millis())]
    SendTimeout {
        /// The stall timeout.
        after: Duration,
    },
    /// The registry took next to nothing of a request, and said that it was well.
    #[error("the registry took {taken} of {sent} bytes")]
    LittleTaken {
        /// How much more it has now.
        taken: u64,
        /// How much it was sent.
        sent: u64,
    },
    /// Redirects do not end.
    #[error("stopped after 10 redirects")]
    TooManyRedirects,
    /// A redirect that is not followed.
    #[error("refusing the redirect to {}: {reason}", quoted(.location))]
    Redirect {
        /// Where to, without secrets.
        location: String,
        /// Why not.
        reason: &'static str,
    },
    /// The registry wants a user name and password and there are none.
    #[error("no basic auth credentials")]
    NoBasicCredentials,
    /// The token server sent no token.
    #[error("authorization server did not include a token in the response")]
    NoToken,
    /// The registry wants a token, but does not say from where.
    #[error("no realm specified for token auth challenge")]
    NoRealm,
    /// The registry wants a token from something that is no URL.
    #[error("invalid token auth challenge realm: {realm}")]
    BadRealm {
        /// The realm, without secrets.
        realm: String,
    },
    /// A registry with TLS names a token server without, which does not speak TLS.
    #[error("refusing to ask `{realm}` for a token: not https, and by https: {failure}")]
    InsecureRealm {
        /// The realm, without secrets.
        realm: String,
        /// Why it cannot be asked by TLS.
        failure: Box<RegistryError>,
    },
    /// The proxy wants to know who asks.
    #[error(
        "proxyconnect tcp: proxy authorization required by {proxy} (407 Proxy Authentication Required)"
    )]
    ProxyLogin {
        /// The proxy, without user and password.
        proxy: String,
    },
    /// TLS did not begin in time.
    #[error("net/http: TLS handshake timeout")]
    TlsTimeout,
    /// The token server's answer cannot be read.
    #[error("unable to decode token response: {reason}")]
    BadToken {
        /// What is wrong.
        reason: String,
    },
    /// No token could be had.
    #[error(transparent)]
    Token(Box<RegistryError>),
    /// Anything else.
    #[error("{reason}")]
    Transport {
        /// The innermost cause.
        reason: String,
    },
}

/// Go's words for a connection that was not made in time.
const DIAL_TIMEOUT: &str = "i/o timeout";

fn via(proxied: bool) -> &'static str {
    if proxied { "proxyconnect tcp: " } else { "" }
}

impl RequestFault {
    /// Tells whether nobody said anything for as long as they may.
    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::ResponseTimeout | Self::TlsTimeout => true,
            Self::Dial { reason, .. } => reason == DIAL_TIMEOUT,
            _ => false,
        }
    }

    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Lookup { .. }
            | Self::Dial { .. }
            | Self::Tls { .. }
            | Self::PlainHttp
            | Self::Broken { .. }
            | Self::Malformed
            | Self::ResponseTimeout
            | Self::TlsTimeout
            | Self::ProxyLogin { .. }
            | Self::SendTimeout { .. }
            | Self::Transport { .. } => true,
            Self::Token(error) => error.is_unreachable(),
            _ => false,
        }
    }
}

/// The library's words for a 407 to a tunnel; its type is not for others.
const TUNNEL_LOGIN: &str = "proxy authorization required";

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
        return RequestFault::ProxyLogin { proxy: shown(proxy) };
    }
    if let Some(hyper) = chain.hyper {
        return hyper;
    }
    let reason = match chain.io {
        Some(kind) => io_words(kind, dialling),
        // Who takes connections and then says nothing leaves TLS to wait.
        None if error.is_timeout() && dialling && proxy.is_none() && url.scheme() == "https" => {
            if crate::dns::takes_connections(url).await {
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
            address: crate::dns::dialled(proxy.unwrap_or(url)).await,
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

/// What is of interest in an error's chain of causes.
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

/// Returns host and port of a URL for a person, with an address in place of the name if the host is one.
pub(crate) fn host_and_port(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host.to_owned(), url.port_or_known_default().unwrap_or_default())
}

/// Joins host and port as Go's `net.JoinHostPort` does.
pub(crate) fn join_host_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}
