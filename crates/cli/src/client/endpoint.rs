//! A daemon, and everything that it takes to speak with it.

use http::{HeaderName, HeaderValue};

use super::Host;
use super::tls::TlsMaterial;

/// Where a daemon is, how the way there is secured, and what every request says besides.
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
