//! A blob that is kept as it comes: downloaded and checked, and not unpacked.

use std::sync::Arc;

use registry::Remote;
use spec::Descriptor;
use store::{Lease, StoreError};

use super::blob::Download;
use super::watchers::Watcher;
use crate::engine::blocking;
use crate::{Engine, EngineError, LayerState, Result};

/// Attempts at a blob when what arrives is not what its digest says.
const VERIFICATION_ATTEMPTS: u32 = 3;

impl Engine {
    /// Downloads a blob and checks its digest.
    ///
    /// While the download lives, others who want the blob join it.
    pub(crate) async fn fetch_blob(
        &self,
        remote: &Remote,
        blob: &Descriptor,
        lease: &Arc<Lease>,
        watcher: Watcher,
    ) -> Result<Download> {
        let mut attempt = 1;
        loop {
            let download = self.download(remote, blob, lease, watcher.clone()).await?;
            match download.done().await {
                Ok(()) => {}
                // Somebody else's failed with their mirror or credentials: ours may do better.
                Err(error) if download.joined() => {
                    tracing::debug!(%error, "a joined download failed");
                    continue;
                }
                Err(error) => return Err(error),
            }
            let (verified, download) = blocking(move || {
                let verified = download.handle().ingest().verify();
                Ok((verified.map(|blob| download.handle().set_verified(blob)), download))
            })
            .await?;
            match verified {
                Ok(()) => {
                    watcher.report(LayerState::PullComplete);
                    return Ok(download);
                }
                Err(StoreError::Mismatch { actual, .. }) => {
                    let detail = format!("its bytes hash to {actual}");
                    let digest = blob.digest.clone();
                    // A mirror that sent wrong bytes would send them again.
                    for source in download.handle().sources() {
                        remote.pass_over(&source);
                    }
                    if attempt == VERIFICATION_ATTEMPTS {
                        return Err(EngineError::LayerVerification { digest, detail });
                    }
                    tracing::warn!(%digest, detail, "a blob will be fetched again");
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
