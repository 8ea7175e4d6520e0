//! The Docker Engine API over HTTP, in front of an [`engine::Engine`].
//!
//! A [`Daemon`] answers connections: those that [`Daemon::serve`] accepts on a unix socket or a TCP port, and any other
//! pair of pipes that is given to [`Daemon::serve_connection`], which is how the command line hosts a daemon in its own
//! process. Every connection takes the same way:
//!
//! ```text
//! listen ─► connection ─► router ─► routes/*  ─► engine
//!           limits, log    path      query, JSON    │
//!              ▲                                    ▼
//!           errors  ◄── EngineError    progress ◄── ProgressEvent
//! ```
//!
//! - [`DaemonConfig`] is `daemon.json` and the command line's flags; [`open_engine`] opens the engine that it describes.
//! - [`run()`] is a daemon's whole life: open, listen, reload on SIGHUP, stop on SIGTERM and SIGINT.
//!
//! A pull or push belongs to the answer that reports on it: when the client goes away the answer is dropped, and with it
//! the operation. Words and statuses are dockerd's, in `progress.rs` and `errors.rs` and nowhere else.

mod config;
mod connection;
mod daemon;
mod directives;
mod errors;
mod events;
mod failures;
mod guard;
mod host;
mod idle;
mod legacy;
mod listen;
mod metrics;
mod notify;
mod open;
mod operation;
mod pidfile;
mod progress;
mod reply;
mod router;
mod routes;
mod run;
mod serve;
mod stall;
mod tls;

pub use config::{
    ConfigError, ConfigFile, DaemonConfig, Defaults, Group, LogFormat, Proxies, TlsFiles, TlsMode,
};
pub use daemon::{Daemon, DaemonInfo};
pub use directives::Directives;
pub use listen::{Host, HostError, InheritedSocket, ListenError, Listener, default_host};
pub use notify::Notifier;
pub use open::open_engine;
pub use registry::{
    CredentialSource, Credentials, CredentialsUnavailable, FoundCredentials, NOTICES,
};
pub use routes::credentials;
pub use run::{Activation, Process, RunError, run};
pub use tls::{Tls, TlsError};
