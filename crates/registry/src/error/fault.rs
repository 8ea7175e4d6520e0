//! Requests that got no answer, told in the words of Go's HTTP client, which are dockerd's.

use std::{error::Error as StdError, fmt, time::Duration};

use http::Method;
use reqwest::Url;

use super::{
    RegistryError,
    redact::{quoted, shown},
};
use crate::http::dns::LookupFailed;

/// A request that got no answer: `Get "https://host/v2/": dial tcp …`.
#[derive(Debug)]
pub struct RequestFailed {
    /// `GET`, `HEAD` ….
    pub method: Method,
    /// The URL without its secrets.
    pub url: String,
    /// The cause.
    pub fault: RequestFault,
    /// True if this endpoint had answered before, so that its absence is likely to be short.
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
    /// Returns what the token server said, if that is what the request failed with.
    pub(crate) fn refusal(&self) -> Option<&RegistryError> {
        match &self.fault {
            RequestFault::Token(error) => Some(error),
            _ => None,
        }
    }
}

impl RegistryError {
    /// Tells whether it is the proxy that failed.
    pub(crate) fn is_of_proxy(&self) -> bool {
        matches!(self, Self::Request(failed) if failed.fault.is_of_proxy())
    }

    /// Tells whether the failure is that nobody said anything in time.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Request(failed) if failed.fault.is_timeout())
    }
}

/// The fault of a request that got no answer. `Display` is Go's sentence where it has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The host's name has no address.
    #[error("{}dial tcp: {lookup}", via(*.proxied))]
    Lookup {
        /// True if the host is the proxy.
        proxied: bool,
        /// The resolver's answer.
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
        /// True if the host is the proxy.
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
        /// True if there was no connection yet, only an attempt at one.
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
        /// The rest of the wait.
        left: Duration,
        /// The status that asked for it.
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
        /// The bytes that it has now and had not before.
        taken: u64,
        /// The bytes that were sent.
        sent: u64,
    },
    /// Redirects do not end.
    #[error("stopped after 10 redirects")]
    TooManyRedirects,
    /// A redirect that is not followed.
    #[error("refusing the redirect to {}: {reason}", quoted(.location))]
    Redirect {
        /// Its target, without secrets.
        location: String,
        /// The rule that forbids it.
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
        /// The failure by TLS.
        failure: Box<RegistryError>,
    },
    /// The proxy wants to know who asks.
    #[error(
        "proxyconnect tcp: proxy authorization required by {proxy} (407 Proxy Authentication Required){}",
        if *.has_login { ", with a user and a password" } else { "" }
    )]
    ProxyLogin {
        /// The proxy, without user and password.
        proxy: String,
        /// True if its address has a user and a password, which it does not know then.
        has_login: bool,
    },
    /// The proxy made no connection.
    #[error(
        "proxyconnect tcp: {proxy} {} {host}",
        if *.has_answered { "refused to connect to" } else { "hung up when asked to connect to" }
    )]
    ProxyRefused {
        /// The proxy, without user and password.
        proxy: String,
        /// True if it said so.
        has_answered: bool,
        /// The host that was to be reached.
        host: String,
    },
    /// TLS did not begin in time.
    #[error("net/http: TLS handshake timeout")]
    TlsTimeout,
    /// The token server's answer cannot be read.
    #[error("unable to decode token response: {reason}")]
    BadToken {
        /// The fault in it.
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
pub(crate) const DIAL_TIMEOUT: &str = "i/o timeout";

fn via(proxied: bool) -> &'static str {
    if proxied { "proxyconnect tcp: " } else { "" }
}

impl RequestFault {
    /// A proxy that wants to know who asks, or does not know who does.
    pub(crate) fn proxy_login(proxy: &Url) -> Self {
        let has_login = !proxy.username().is_empty() || proxy.password().is_some();
        Self::ProxyLogin { proxy: shown(proxy), has_login }
    }

    /// Tells whether nobody said anything for as long as they may.
    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::ResponseTimeout | Self::TlsTimeout => true,
            Self::Dial { reason, .. } => reason == DIAL_TIMEOUT,
            _ => false,
        }
    }

    /// Tells whether the proxy is to blame, and not the host behind it.
    pub(crate) fn is_of_proxy(&self) -> bool {
        matches!(
            self,
            Self::Lookup { proxied: true, .. }
                | Self::Dial { proxied: true, .. }
                | Self::ProxyLogin { .. }
                | Self::ProxyRefused { .. }
        )
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
            | Self::ProxyRefused { .. }
            | Self::SendTimeout { .. }
            | Self::Transport { .. } => true,
            Self::Token(error) => error.is_unreachable(),
            _ => false,
        }
    }
}
