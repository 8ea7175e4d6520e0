//! Defects: what ends an operation and is nobody's fault but ours.

use std::io;

use spec::Digest;
use tokio::sync::AcquireError;
use tokio::task::JoinError;

/// A defect of this program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// A task panicked.
    #[error("{0}")]
    Task(JoinError),
    /// A semaphore was closed, which none ever is.
    #[error("{0}")]
    Semaphore(AcquireError),
    /// A document of ours cannot be written as JSON.
    #[error("{0}")]
    Encode(serde_json::Error),
    /// An archive of ours has not got the bytes that its plan says.
    #[error("{0}")]
    Write(io::Error),
    /// The thread that writes an archive ended without a word.
    #[error("the archive ended abnormally")]
    ArchiveBrokenOff,
    /// A download ended well, and bytes are missing.
    #[error("blob {0} ended early")]
    BlobEndedEarly(Digest),
    /// A blob in memory has fewer bytes than its descriptor says.
    #[error("a blob is shorter than it was")]
    ShortBlob,
    /// A transfer ended well before it was prepared.
    #[error("a transfer had no beginning")]
    TransferUnprepared,
    /// The task of a transfer ended without a word.
    #[error("a transfer ended abnormally")]
    TransferBrokenOff,
}
