//! The Docker Engine API over HTTP, in front of an [`engine::Engine`].
//!
//! A [`Daemon`] answers connections: those that [`Daemon::serve`] accepts on a unix socket or a TCP port, and any other
//! pair of pipes that is given to [`Daemon::serve_connection`], which is how the command line hosts a daemon in its own
//! process. Every connection takes the same way:
//!
//! ```text
//! server ─► request ─► routes ─► engine
//! slots,    path, query,  │          │
//! TLS       admission     ▼          ▼
//!           errors    documents   progress ─► response
//! ```
//!
//! - `config`: `daemon.json` and the command line's flags, as one [`DaemonConfig`].
//! - `process`: a daemon's whole life, [`run()`]: open, listen, reload on SIGHUP, stop on SIGTERM and SIGINT.
//! - `server`: addresses, TLS, connections and their slots.
//! - `request`: from a head to a route, and what its parameters mean; requests of strangers end here.
//! - `routes`: one module for each family of routes.
//! - `documents`, `progress`, `errors`: results, reports and errors of the engine in Docker's words; nowhere else are any.
//! - `metrics`, `machine`: numbers for Prometheus, facts about the host.
//!
//! A pull or push belongs to the answer that reports on it: when the client goes away the answer is dropped, and with it
//! the operation.

mod config;
mod daemon;
mod documents;
mod errors;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod lock;
mod machine;
mod metrics;
mod process;
mod progress;
mod prune;
mod request;
mod response;
mod routes;
mod server;

pub use config::{
    ConfigError, ConfigFile, DaemonConfig, Defaults, Directive, Directives, Group, KeepBlobs,
    KeepBlobsDirective, ListenAddress, ListenAddressError, LogFormat, Proxies, PruneDirective,
    PruneSchedule, Reload, TlsFiles, TlsMode, UnknownDirective, VerifiersDirective,
    default_address,
};
pub use daemon::{Daemon, DaemonInfo, open_engine};
pub use process::notify::Notifier;
pub use process::run::{Activation, Process, RunError, run};
pub use prune::policy::PolicyError;
pub use registry::{
    CredentialSource, Credentials, CredentialsUnavailable, FoundCredentials, NOTICES, Surveyed,
    Validity, survey,
};
pub use request::parameters::credentials;
pub use server::listener::{InheritedSocket, ListenError, Listener};
pub use server::tls::{Tls, TlsError};
