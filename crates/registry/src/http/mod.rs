//! Requests to one URL: connections, TLS, proxies, redirects, second tries, bounds and counters.

pub(crate) mod classify;
pub(crate) mod dns;
pub(crate) mod endpoint;
pub(crate) mod guard;
pub(crate) mod links;
pub(crate) mod metrics;
pub(crate) mod proxy;
pub(crate) mod retry;
pub(crate) mod tls;
pub(crate) mod transport;
