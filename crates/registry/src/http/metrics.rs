//! Counters of bytes, blobs, retries and failures, by registry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The most registries that are told apart. A name is the user's choice, or that of whoever may use the daemon: without a
/// bound each would be kept for ever.
const MAX_HOSTS: usize = 64;
/// The name under which all others are counted.
const OTHERS: &str = "other";

/// The traffic of this process, by registry. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, Arc<Counters>>>>);

/// The counters of one registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMetrics {
    /// Bytes of bodies that came.
    pub received_bytes: u64,
    /// Bytes of bodies that went.
    pub sent_bytes: u64,
    /// Blobs whose end came.
    pub received_blobs: u64,
    /// Blobs that the registry has taken.
    pub sent_blobs: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests without an answer, or with one of status 500 or above.
    pub failures: u64,
}

/// One registry's traffic while it is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    received_blobs: AtomicU64,
    sent_blobs: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

impl Metrics {
    /// Returns the counters by the registry's host and port.
    pub fn by_host(&self) -> Vec<(String, HostMetrics)> {
        let hosts = lock(&self.0);
        hosts.iter().map(|(host, counters)| (host.clone(), counters.read())).collect()
    }

    /// Returns the counters of a registry.
    pub(crate) fn of(&self, host: &str) -> Arc<Counters> {
        let mut hosts = lock(&self.0);
        let host = if hosts.len() < MAX_HOSTS || hosts.contains_key(host) { host } else { OTHERS };
        Arc::clone(hosts.entry(host.to_owned()).or_default())
    }
}

impl Counters {
    pub(crate) fn received(&self, bytes: usize) {
        add(&self.received_bytes, bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        add(&self.sent_bytes, bytes);
    }

    pub(crate) fn received_blob(&self) {
        add(&self.received_blobs, 1);
    }

    pub(crate) fn sent_blob(&self) {
        add(&self.sent_blobs, 1);
    }

    pub(crate) fn retried(&self) {
        add(&self.retries, 1);
    }

    pub(crate) fn failed(&self) {
        add(&self.failures, 1);
    }

    fn read(&self) -> HostMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HostMetrics {
            received_bytes: read(&self.received_bytes),
            sent_bytes: read(&self.sent_bytes),
            received_blobs: read(&self.received_blobs),
            sent_blobs: read(&self.sent_blobs),
            retries: read(&self.retries),
            failures: read(&self.failures),
        }
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_beyond_the_bound_are_counted_together() {
        let traffic = Metrics::default();
        for n in 0..=MAX_HOSTS {
            traffic.of(&format!("r{n}")).retried();
        }
        traffic.of("r0").received(5);
        traffic.of("yet-another").failed();
        let hosts: BTreeMap<_, _> = traffic.by_host().into_iter().collect();
        assert_eq!(hosts.len(), MAX_HOSTS + 1);
        assert_eq!((hosts["r0"].received_bytes, hosts["r0"].retries), (5, 1));
        assert_eq!((hosts[OTHERS].retries, hosts[OTHERS].failures), (1, 1));
    }
}
