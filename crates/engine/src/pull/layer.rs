//! One layer of a pull, by a job of ours or of somebody else.

use std::future::ready;
use std::sync::{Arc, Mutex};

use super::operation::Pull;
use crate::Result;
use crate::transfer::{Download, LayerJob, PlannedLayer, ReadyLayer, Transfer, Watcher};

/// A finished layer job. While this lives, other pulls join the job instead of doing it again.
#[derive(Debug)]
pub(super) struct LayerTransfer {
    _transfer: Transfer<(), Arc<ReadyLayer>>,
    pub(super) layer: Arc<ReadyLayer>,
}

impl Pull {
    /// Makes sure that a layer is staged, by a job of ours or of somebody else.
    ///
    /// `ahead` is the blob's download if it has begun already.
    pub(super) async fn layer(
        &self,
        planned: &PlannedLayer,
        ahead: Option<Download>,
    ) -> Result<LayerTransfer> {
        let mut ahead = ahead;
        loop {
            let watcher = Watcher::User { progress: self.progress.clone(), id: planned.label() };
            let begun = ahead.take();
            let prepare = |watchers| {
                let job = LayerJob {
                    engine: self.engine.clone(),
                    remote: Some(self.remote.clone()),
                    lease: Arc::clone(&self.lease),
                    planned: planned.clone(),
                    watchers,
                    ahead: Mutex::new(begun),
                };
                ready(Ok(((), job.run())))
            };
            let jobs = &self.engine.0.layer_jobs;
            let transfer = jobs.start(planned.chain_id.clone(), watcher, prepare).await?;
            match transfer.done().await {
                Ok(layer) => return Ok(LayerTransfer { _transfer: transfer, layer }),
                // Somebody else's job failed with their mirror or credentials: ours may do better.
                Err(error) if transfer.joined() => {
                    tracing::debug!(%error, "a joined layer job failed");
                }
                Err(error) => return Err(error),
            }
        }
    }
}
