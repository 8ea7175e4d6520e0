//! Addresses that are none.

/// A text that is no address of a daemon, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// Another scheme behind `unix://`.
    #[error("invalid proto, expected unix: {0}")]
    Proto(String),
    /// A scheme that docker knows.
    #[error("hosts of the kind {scheme}:// are not supported: {text}")]
    Unsupported {
        /// The text before `://`.
        scheme: String,
        /// The address.
        text: String,
    },
    /// No scheme, name and port.
    #[error("invalid bind address format: {0}")]
    Format(String),
    /// No machine to be reached by ssh.
    #[error("ssh host connection is not valid: invalid SSH URL: {0}")]
    Ssh(String),
}
