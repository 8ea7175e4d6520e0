//! The budget of each host: how many requests and transfers it has at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::lock;

/// Requests to one host at once. Registries slow down a client that asks for many more, and fewer leave a link of some latency
/// idle: blobs are small for the most part.
const AT_ONCE: usize = 12;

/// The budgets of all hosts.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<HashMap<String, Arc<Semaphore>>>);

/// A part of the budget of one host or two, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Budget {
    /// Waits for a turn at all of `hosts`. Nobody who waits here holds one.
    pub(crate) async fn turn(&self, hosts: &[Option<&str>]) -> Turn {
        let mut hosts: Vec<&str> = hosts.iter().copied().flatten().collect();
        // In one order, so that two that want the same two hosts never wait for each other.
        hosts.sort_unstable();
        hosts.dedup();
        let mut permits = Vec::with_capacity(hosts.len());
        for host in hosts {
            let semaphore = self.of(host);
            // Nobody closes it.
            permits.extend(semaphore.acquire_owned().await.ok());
        }
        Turn { _permits: permits }
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = lock(&self.0);
        if let Some(semaphore) = hosts.get(host) {
            return Arc::clone(semaphore);
        }
        let semaphore = Arc::new(Semaphore::new(AT_ONCE));
        hosts.insert(host.to_owned(), Arc::clone(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_host_has_as_many_turns_as_its_budget() {
        let budget = Budget::default();
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(budget.turn(&[Some("a"), None, Some("a")]).now_or_never().unwrap());
        }
        assert!(budget.turn(&[Some("b"), Some("a")]).now_or_never().is_none());
        assert!(budget.turn(&[Some("b")]).now_or_never().is_some());
        turns.pop();
        assert!(budget.turn(&[Some("b"), Some("a")]).now_or_never().is_some());
    }
}
