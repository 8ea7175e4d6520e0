//! The client's side of the distribution protocol: what a registry has, sent and received.
//!
//! ```text
//! Client ─ remote() ─► Remote ─ ask() ─► Session ─ authority ─► Endpoint ─ retries, redirects ─► HTTP
//!   connections,         one            one endpoint's           one URL: TLS, proxy, timeouts
//!   tokens               repository     challenges, token
//! ```
//!
//! # Flow
//!
//! An operation of [`Remote`] asks the endpoints in turn, as the `places` module lists them: the hosts of the registry's
//! `hosts.toml` or the mirrors of Docker Hub, each only for what it may be asked for, then the registry itself by HTTPS
//! and, for insecure registries, HTTP. The first request to an endpoint is `GET /v2/`, as Docker's is, and tells what
//! authority it wants. Requests that can be repeated are, within bounds, until headers arrive; what then happens to a
//! blob's body is its reader's to deal with, who asks for the rest by range.
//!
//! Beside repositories there are [`Client::search`], [`Client::download`] of a file that is at no registry, and
//! [`Client::check`], which asks everybody and tells what each said.
//!
//! # Trust
//!
//! A registry is believed in nothing that can be checked. Manifests and small blobs are checked here, blob streams by
//! their reader. What a tag means is asked of those only that may `resolve`. Credentials are shown to the registry that
//! they were given for and to the token server it names (see the `token` module), never to a mirror, the target of a
//! redirect, or an upload's location on another host. A mirror is shown what a [`CredentialSource`] has for its own host.
//!
//! # Limits
//!
//! Every body, list and wait has a bound; each constant says why it has its value.
//!
//! # Errors
//!
//! [`RegistryError`] speaks dockerd's words, as the engine shows them to users. [`RegistryError::recovery`] is the one
//! place that decides what is worth another try.
//!
//! # Cancellation
//!
//! Every future may be dropped at any await. A dropped upload leaves its session at the registry, and
//! [`UploadSession::status`] tells what became of it.

mod auth;
mod blobs;
mod caller;
mod check;
mod client;
mod config;
mod download;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hosts;
mod http;
mod manifests;
mod remote;
mod search;
mod uploads;

/// The target of log lines that are for whoever waits in front of a terminal: who has not answered yet.
pub const NOTICES: &str = "registry::notices";

pub use crate::http::{
    dns::LookupFailed,
    metrics::{HostMetrics, Metrics},
    proxy::ProxyConfig,
    retry::Attempts,
};
pub use auth::{
    credentials::{CredentialSource, Credentials, CredentialsUnavailable, FoundCredentials, GIVEN},
    login::Login,
};
pub use blobs::{Presence, stream::BlobStream};
pub use caller::Caller;
pub use check::{Checked, EndpointCheck, Probe, RegistryCheck, TlsCheck};
pub use client::Client;
pub use config::RegistryConfig;
pub use download::Download;
pub use error::{
    RegistryError,
    everywhere::FailedEverywhere,
    fault::{RequestFailed, RequestFault},
    foreign::ForeignFailure,
    recovery::Recovery,
    redact::without_password,
    refusal::{ApiError, Refusal},
};
pub use hosts::{
    access::Access,
    waits::{Wait, Waits},
};
pub use manifests::{FetchedManifest, Resolution, TagOrDigest};
pub use remote::{Remote, Source};
pub use search::SearchResult;
pub use uploads::{Mounted, UploadSession};
