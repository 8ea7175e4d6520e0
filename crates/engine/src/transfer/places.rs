//! Places of which there are so many: at the network, to unpack, to pack.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Defect;
use crate::{EngineError, Result};

/// Waits for one of a number of places.
pub(super) async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let permit = Arc::clone(places).acquire_owned().await;
    permit.map_err(|error| EngineError::Internal(Defect::Semaphore(error)))
}
