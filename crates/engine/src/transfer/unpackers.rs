//! The bounds on layers that are unpacked, and packed, at once.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::sync::OwnedSemaphorePermit;

use super::places::place;
use crate::{Engine, Result};

impl Engine {
    /// Waits until one more layer may be unpacked.
    pub(crate) async fn unpacker(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.0.unpackers).await
    }

    /// Waits until one more layer may be compressed: a place of its own, as an unpacker's may be kept by a slow download.
    pub(crate) async fn packer(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.0.packers).await
    }

    /// As [`Engine::unpacker`], unless the layer's download fails before: that is told at once, however long the layers of others take.
    pub(crate) async fn unpacker_beside(
        &self,
        download: impl Future<Output = Result<()>>,
    ) -> Result<OwnedSemaphorePermit> {
        let permit = pin!(self.unpacker());
        match select(permit, pin!(download)).await {
            Either::Left((permit, _)) => permit,
            Either::Right((Ok(()), permit)) => permit.await,
            Either::Right((Err(error), _)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::EngineError;
    use crate::testing::Fixture;

    #[test]
    fn a_failed_download_does_not_wait_for_the_layers_of_others() {
        let fixture = Fixture::new(&[]);
        let engine = &fixture.engine;
        let free = u32::try_from(engine.0.unpackers.available_permits()).unwrap();
        fixture.run(async {
            let all = engine.0.unpackers.acquire_many(free).await.unwrap();
            let failed = engine.unpacker_beside(ready(Err(EngineError::ReservedName))).await;
            assert!(matches!(failed, Err(EngineError::ReservedName)));

            let mut done = pin!(engine.unpacker_beside(ready(Ok(()))));
            let mut running = pin!(engine.unpacker_beside(pending()));
            assert!(done.as_mut().now_or_never().is_none());
            assert!(running.as_mut().now_or_never().is_none());
            drop(all);
            assert!(matches!(done.as_mut().now_or_never(), Some(Ok(_))));
            assert!(matches!(running.as_mut().now_or_never(), Some(Ok(_))));
        });
    }
}
