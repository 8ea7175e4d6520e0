//! The client's side of the distribution protocol: manifests, blobs and tags, sent and received.
//!
//! ```text
//! Client ─ remote() ─► Remote ─ ask() ─► Session ─ authority ─► Endpoint ─ retries, redirects ─► HTTP
//!   connections,         one            one endpoint's           one URL: TLS, proxy, timeouts
//!   tokens               repository     challenges, token
//! ```
//!
//! # Rooms
//!
//! - `hosts`: the hosts of a registry, from `hosts.toml`, mirrors and insecure registries; the waits that hosts ask for
//! - `http`: requests to one of them: connections, DNS, TLS, proxies, redirects, the policy of second tries, counters
//! - `auth`: credentials, challenges, tokens, logins, and the session of a repository at an endpoint
//! - `blobs`, `manifests`, `uploads`, `removal`: the operations of a [`Remote`]; `catalog`, `search`, `download` and `check`:
//!   those of a [`Client`]
//! - `notary`: the server of signatures that goes with a registry
//! - `jws`: the signatures of manifests of schema 1
//! - `error`: errors in Docker's words, what is kept out of them, and the recovery from them
//!
//! # Flow
//!
//! An operation of [`Remote`] asks the endpoints in turn, as `hosts::configured` lists them: the hosts of the registry's
//! `hosts.toml` or the mirrors of Docker Hub, each only for what it may be asked for, then the registry itself by HTTPS
//! and, for insecure registries, HTTP. The first request to an endpoint is `GET /v2/`, as Docker's is, and tells what
//! authority it wants. `http::retry` says which requests are sent again; a blob's body is its reader's to deal with, who
//! asks for the rest by range.
//!
//! Beside repositories there are [`Client::search`], [`Client::download`] of a file that is at no registry, and
//! [`Client::check`], which asks everybody and tells what each said.
//!
//! # Trust
//!
//! A registry is believed in nothing that can be checked. Manifests and small blobs are checked here, blob streams by
//! their reader. What a tag means is asked of those only that may `resolve`. Credentials are shown to the registry that
//! they were given for and to the token server it names (see `auth::token`), never to a mirror, the target of a
//! redirect, or an upload's location on another host. A mirror is shown what a [`CredentialSource`] has for its own host.
//!
//! # Limits
//!
//! Every body, list and wait has a bound; each constant says why it has its value.
//!
//! # Errors
//!
//! [`RegistryError`] speaks dockerd's words, as the engine shows them to users. [`RegistryError::recovery`] decides
//! what is worth another try, [`Attempts`] how often and when.
//!
//! # Cancellation
//!
//! Every future may be dropped at any await. A dropped upload leaves its session at the registry, and
//! [`UploadSession::status`] tells what became of it.

mod auth;
mod blobs;
mod caller;
mod catalog;
mod check;
mod client;
mod config;
mod download;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hosts;
mod http;
mod jws;
mod lock;
mod manifests;
mod notary;
mod remote;
mod removal;
mod search;
mod uploads;

/// The target of log lines that are for whoever waits in front of a terminal: who has not answered yet.
pub const NOTICES: &str = "registry::notices";

pub use crate::http::{
    dns::LookupFailed,
    metrics::{HostMetrics, Metrics},
    proxy::{ProxyConfig, SchemeProxy},
    retry::{Attempts, LEAST_BROUGHT},
    tls::Validity,
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
    settings::SettingsError,
};
pub use hosts::{
    access::Access,
    survey::{Surveyed, survey},
    waits::{Wait, Waits},
};
pub use jws::{SigningKey, error::SignatureError};
pub use manifests::{
    FetchedManifest, Resolution, TagOrDigest,
    about::subject,
    pull_limit::PullLimit,
    referrers::{
        MAX_REFERRERS, MAX_REFERRERS_DEPTH, Referral, Referrer, Referrers, ReferrersFrom, RefersBy,
    },
};
pub use notary::{NotaryAnswer, NotaryServer};
pub use remote::{Remote, Source};
pub use removal::TagRemoval;
pub use search::SearchResult;
pub use uploads::{Mounted, UploadSession, parts::Breaks};
