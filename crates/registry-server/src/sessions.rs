//! Uploads that this server has open: one writer at a time, and the hash kept between requests.
//!
//! A session is a cache. The file of the upload is the truth: after a restart, an error or an
//! eviction, the upload is opened again and what it holds is hashed anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::name::RepositoryName;
use crate::storage::{Upload, UploadId};

/// The longest wait for another request that writes the same upload. A client that lost its
/// connection asks again at once, often before this side has noticed the loss.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many idle uploads keep their hash and an open file; more are opened again when they go on.
const MAX_IDLE: usize = 256;

/// An upload's open file and hash, if it is open.
pub(crate) type Session = OwnedMutexGuard<Option<Upload>>;

type Key = (RepositoryName, UploadId);

/// The uploads that are open.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Arc<AsyncMutex<Option<Upload>>>>>);

impl Sessions {
    /// Becomes the only writer of an upload; `None` where another stays it for too long.
    pub(crate) async fn enter(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Option<Session> {
        let session = {
            let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if open.len() >= MAX_IDLE {
                open.retain(|_, session| Arc::strong_count(session) > 1);
            }
            Arc::clone(open.entry((repository.clone(), id.clone())).or_default())
        };
        tokio::time::timeout(PATIENCE, session.lock_owned()).await.ok()
    }

    /// Forgets an upload that has ended. Who still waits for it finds it closed, and then gone.
    pub(crate) fn forget(&self, repository: &RepositoryName, id: &UploadId) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&(repository.clone(), id.clone()));
    }
}
