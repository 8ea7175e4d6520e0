//! A daemon, and everything that it takes to speak with it.

use http::{HeaderName, HeaderValue};

use super::Host;
use super::tls::TlsMaterial;

/// A daemon's address, the TLS on the way to it, and the headers of every request.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    /// For TCP; without it, requests go in plain.
    pub(crate) tls: Option<TlsMaterial>,
    /// The `HttpHeaders` of the configuration file.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Host> for Endpoint {
    fn from(host: Host) -> Endpoint {
        Endpoint { host, tls: None, headers: Vec::new() }
    }
}
