//! State that all copies of one run share: no blob and no document goes twice.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use spec::{Digest, Repository};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use crate::Report;
use crate::budget::Budget;
use crate::convert::memory::Memory;
use crate::document::Document;
use crate::error::Result;
use crate::lock::lock;
use crate::progress::{Event, Sums};
use crate::sent::Sent;
use crate::source::Source;

/// The manner of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// True if nothing is stored.
    pub dry: bool,
    /// True if nothing is believed to be at a target for what lists it being there.
    pub force: bool,
}

type Done = Arc<OnceCell<()>>;
type Holders = Arc<AsyncMutex<Vec<Repository>>>;

/// The state of a run.
pub(crate) struct Shared {
    pub(crate) budget: Budget,
    pub(crate) report: Arc<Report>,
    pub(crate) sums: Sums,
    pub(crate) conversions: Memory,
    pub(crate) mode: Mode,
    /// The blobs that earlier runs sent.
    pub(crate) sent: Sent,
    /// The repositories of a host that have a blob, as far as this run has seen to it.
    blobs: Mutex<HashMap<(String, Digest), Holders>>,
    /// The documents that are at a place with all that they name.
    documents: Mutex<HashMap<(String, Digest), Done>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("sums", &self.sums).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(report: Arc<Report>, mode: Mode, sent: Sent, scratch: PathBuf) -> Self {
        Self {
            budget: Budget::default(),
            report,
            sums: Sums::default(),
            conversions: Memory::new(scratch),
            mode,
            sent,
            blobs: Mutex::default(),
            documents: Mutex::default(),
        }
    }

    /// Returns who of a host has a blob. Locked by whoever brings it there.
    pub(crate) fn holders(&self, host: &str, digest: &Digest) -> Holders {
        let mut blobs = lock(&self.blobs);
        Arc::clone(blobs.entry((host.to_owned(), digest.clone())).or_default())
    }

    /// Returns whether a document is at a place, or a blob at one that is no registry: set by whoever brings it there.
    pub(crate) fn document(&self, place: String, digest: &Digest) -> Done {
        let mut documents = lock(&self.documents);
        Arc::clone(documents.entry((place, digest.clone())).or_default())
    }

    /// Fetches the document that the source's name means, or that of a digest, when it is its host's turn.
    pub(crate) async fn fetch(&self, source: &Source, digest: Option<&Digest>) -> Result<Document> {
        let _turn = self.budget.turn(&[source.host()]).await;
        source.document(digest).await
    }

    /// Fetches the document that the source's name means. `hint` is the digest that the source says it has: where there is no
    /// such document, that was not true.
    pub(crate) async fn meant(&self, source: &Source, hint: Option<&Digest>) -> Result<Document> {
        match self.fetch(source, hint).await {
            Err(error) if hint.is_some() && error.is_missing() => self.fetch(source, None).await,
            fetched => fetched,
        }
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.sums.count(event);
        (self.report)(event);
    }
}
