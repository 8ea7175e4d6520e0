//! The blob of a download: its file while it grows, and what is known of its bytes.

use std::sync::{Arc, Mutex};

use registry::Source;
use spec::Digest;
use store::{Ingest, VerifiedBlob};

use super::jobs::{Transfer, Transfers};
use crate::lock::lock;

/// The running downloads, by the digests of their blobs.
pub(crate) type Downloads = Transfers<Digest, Blob, ()>;
/// A caller's part in a download.
pub(crate) type Download = Transfer<Blob, ()>;

/// The blob of a download, complete or not.
#[derive(Debug)]
pub(crate) struct Blob {
    ingest: Ingest,
    verified: Mutex<Verified>,
    sources: Sources,
}

/// The endpoints that bytes came from.
pub(super) type Sources = Arc<Mutex<Vec<Source>>>;

#[derive(Debug, Default)]
enum Verified {
    #[default]
    NotYet,
    Yes(VerifiedBlob),
    /// A commit has taken it.
    Taken,
}

impl Blob {
    pub(super) fn new(ingest: Ingest, sources: Sources) -> Self {
        Self { ingest, verified: Mutex::default(), sources }
    }

    pub(crate) fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Returns who sent bytes of the blob to this process.
    pub(crate) fn sources(&self) -> Vec<Source> {
        lock(&self.sources).clone()
    }

    /// Keeps the blob for a commit, once somebody has read and hashed all of it.
    pub(crate) fn set_verified(&self, blob: VerifiedBlob) {
        let mut verified = lock(&self.verified);
        if matches!(*verified, Verified::NotYet) {
            *verified = Verified::Yes(blob);
        }
    }

    /// Gives up the verified blob to be published; `None` if somebody else has taken it.
    pub(crate) fn take_verified(&self) -> Option<VerifiedBlob> {
        let mut verified = lock(&self.verified);
        match std::mem::replace(&mut *verified, Verified::Taken) {
            Verified::Yes(blob) => Some(blob),
            Verified::NotYet => {
                *verified = Verified::NotYet;
                None
            }
            Verified::Taken => None,
        }
    }
}
