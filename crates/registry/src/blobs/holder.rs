//! The holder of a blob: a registry, or a server that the layer's manifest names.

use std::ops::Range;

use reqwest::{Method, Url};

use crate::{
    RegistryError,
    auth::session::Session,
    http::{
        endpoint::{Call, Endpoint, Redirects},
        transport::Answer,
    },
};

/// A server that has a blob.
pub(crate) enum Holder<'a> {
    /// One of the endpoints, with the session at it.
    Registry(&'a Session),
    /// Another server.
    Elsewhere(&'a Endpoint, &'a Url),
}

impl Holder<'_> {
    /// Sends a request for a blob; `url` is where a registry has it.
    pub(crate) async fn ask(
        &self,
        url: impl FnOnce(&Session) -> Url,
        range: Option<&Range<u64>>,
    ) -> Result<Answer, RegistryError> {
        let ranged = |call: Call| match range {
            Some(range) => {
                let bytes = format!("bytes={}-{}", range.start, range.end - 1);
                call.header(http::header::RANGE, &bytes)
            }
            None => call,
        };
        match self {
            Self::Registry(session) => {
                // The transfer that it is for has tries of its own.
                let call =
                    Call::new(Method::GET, url(session)).redirects(Redirects::Anywhere).at_once();
                session.send(ranged(call)).await
            }
            Self::Elsewhere(endpoint, url) => {
                let mut call = ranged(Call::new(Method::GET, (*url).clone()).at_once());
                endpoint.exchange(&mut call, None, false).await
            }
        }
    }

    /// Says whether parts of blobs are known to be refused.
    pub(crate) fn refuses_ranges(&self) -> bool {
        matches!(self, Self::Registry(session) if session.refuses_ranges())
    }

    /// Remembers that parts of blobs are refused.
    pub(crate) fn refuse_ranges(&self) {
        if let Self::Registry(session) = self {
            session.refuse_ranges();
        }
    }
}
