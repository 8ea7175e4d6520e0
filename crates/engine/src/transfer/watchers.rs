//! The watchers of a job: everybody who sees its progress, its waits and its retries.

use std::sync::{Arc, Mutex};

use registry::{Attempts, RegistryError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::places::place;
use crate::lock::lock;
use crate::{LayerFacts, LayerState, Progress, Result};

/// A watcher of a job's progress.
#[derive(Clone, Debug)]
pub(crate) enum Watcher {
    /// An operation, for which the layer has a name.
    User {
        /// The end that the operation reports to.
        progress: Progress,
        /// The layer's name.
        id: String,
    },
    /// An operation that shows bytes arrive, and for which another job tells what becomes of them.
    Arrival {
        /// The end that the operation reports to.
        progress: Progress,
        /// The layer's name.
        id: String,
    },
    /// Another job, of which this one is a part.
    Relay(Arc<Watchers>),
}

impl Watcher {
    pub(super) fn report(&self, state: LayerState) {
        match self {
            Self::Arrival { .. }
                if matches!(state, LayerState::Downloaded | LayerState::PullComplete) => {}
            Self::User { progress, id } | Self::Arrival { progress, id } => {
                progress.layer(id, state);
            }
            Self::Relay(watchers) => watchers.report(state),
        }
    }

    fn tell(&self, facts: &LayerFacts) {
        match self {
            Self::User { progress, id } | Self::Arrival { progress, id } => {
                progress.facts(id, facts.clone());
            }
            Self::Relay(watchers) => watchers.tell(facts),
        }
    }
}

/// Everybody who watches one job.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Watching>);

#[derive(Debug, Default)]
struct Watching {
    next: u64,
    watchers: Vec<(u64, Watcher)>,
    last: Option<LayerState>,
    facts: LayerFacts,
}

impl Watching {
    /// Says whether the last that was heard is of a download that goes on. What is unpacked beside it is not shown: a
    /// user's line would flip between two counters.
    fn is_downloading(&self) -> bool {
        matches!(
            self.last,
            Some(
                LayerState::Waiting | LayerState::Downloading { .. } | LayerState::Retrying { .. }
            )
        )
    }
}

impl Watchers {
    pub(crate) fn report(&self, state: LayerState) {
        let mut watching = lock(&self.0);
        if matches!(state, LayerState::Extracting { .. }) && watching.is_downloading() {
            return;
        }
        for (_, watcher) in &watching.watchers {
            watcher.report(state.clone());
        }
        watching.last = Some(state);
    }

    /// Tells what is known of the layer.
    pub(crate) fn tell(&self, facts: &LayerFacts) {
        let mut watching = lock(&self.0);
        watching.facts.learn(facts);
        for (_, watcher) in &watching.watchers {
            watcher.tell(facts);
        }
    }

    /// Waits for a place among those who use the network, and says so if it takes a while.
    pub(crate) async fn turn(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
            return Ok(permit);
        }
        self.report(LayerState::Waiting);
        place(places).await
    }

    /// Waits before another attempt at a transfer, or gives the error back if there is to be none.
    pub(crate) async fn before_retry(
        &self,
        error: RegistryError,
        attempts: &mut Attempts,
    ) -> Result<(), RegistryError> {
        let Some(pause) = attempts.pause(&error) else { return Err(error) };
        tracing::info!(%error, ?pause, "a transfer will be retried");
        self.report(LayerState::Retrying { seconds: pause.as_secs().max(1) });
        tokio::time::sleep(pause).await;
        Ok(())
    }

    pub(crate) fn join(&self, watcher: Watcher) -> u64 {
        let mut watching = lock(&self.0);
        if watching.facts != LayerFacts::default() {
            watcher.tell(&watching.facts);
        }
        if let Some(state) = &watching.last {
            watcher.report(state.clone());
        }
        watching.next += 1;
        let number = watching.next;
        watching.watchers.push((number, watcher));
        number
    }

    pub(super) fn leave(&self, number: u64) {
        let mut watching = lock(&self.0);
        watching.watchers.retain(|(other, _)| *other != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProgressEvent;

    #[tokio::test]
    async fn an_arrival_is_told_up_to_its_end() {
        let (progress, mut events) = Progress::channel();
        let watchers = Watchers::default();
        watchers.join(Watcher::Arrival { progress, id: "a".into() });
        let states = [LayerState::Waiting, LayerState::Downloading { current: 1, total: 1 }];
        for state in states.iter().cloned() {
            watchers.report(state);
        }
        watchers.report(LayerState::Downloaded);
        watchers.report(LayerState::PullComplete);
        drop(watchers);
        let mut told = Vec::new();
        while let Some(ProgressEvent::Layer { state, .. }) = events.recv().await {
            told.push(state);
        }
        assert_eq!(told, states);
    }

    #[tokio::test]
    async fn unpacking_is_shown_when_the_download_is_over() {
        let (progress, mut events) = Progress::channel();
        let watchers = Watchers::default();
        watchers.join(Watcher::User { progress, id: "a".into() });
        let (current, total) = (1, 2);
        watchers.report(LayerState::Downloading { current, total });
        watchers.report(LayerState::Extracting { current, total });
        watchers.report(LayerState::Downloaded);
        watchers.report(LayerState::Extracting { current, total: 1 });
        drop(watchers);
        let mut states = Vec::new();
        while let Some(ProgressEvent::Layer { state, .. }) = events.recv().await {
            states.push(state);
        }
        assert_eq!(
            states,
            [
                LayerState::Downloading { current, total },
                LayerState::Downloaded,
                LayerState::Extracting { current, total: 1 },
            ]
        );
    }
}
