//! One job for all who want the same thing.
//!
//! A job belongs to a key. Whoever asks for the key while the job runs joins it and sees its progress; the job ends when the last
//! of them is gone. A failure is everyone's who waited, but nobody's who comes later; and a joiner may try the job itself
//! with its own means (another mirror, other credentials) rather than take over somebody else's failure.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::watchers::{Watcher, Watchers};
use crate::error::Defect;
use crate::lock::lock;
use crate::{EngineError, Result};

type Outcome<T> = Option<Result<T, Arc<EngineError>>>;

/// The running jobs of one kind. `H` is what a joiner has of a job at once, `T` what it has in the end.
///
/// The lock is never held while anything is waited for: a caller that nobody polls any more keeps nobody from a job.
pub(crate) struct Transfers<K, H, T> {
    jobs: Mutex<HashMap<K, Weak<Job<H, T>>>>,
}

struct Job<H, T> {
    /// Closed without a handle if the job could not be prepared; the outcome then says why.
    handle: watch::Receiver<Option<Arc<H>>>,
    outcome: watch::Receiver<Outcome<T>>,
    watchers: Arc<Watchers>,
    task: AbortHandle,
}

/// A caller's part in a job. Dropping it leaves the job.
pub(crate) struct Transfer<H, T> {
    seat: Seat<H, T>,
    handle: Arc<H>,
    joined: bool,
}

/// A caller's interest in a job, be it prepared or not.
struct Seat<H, T> {
    job: Arc<Job<H, T>>,
    watcher: u64,
}

impl<K, H, T> Default for Transfers<K, H, T> {
    fn default() -> Self {
        Self { jobs: Mutex::default() }
    }
}

impl<K, H, T> fmt::Debug for Transfers<K, H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transfers")
    }
}

impl<H, T> fmt::Debug for Transfer<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("joined", &self.joined).finish_non_exhaustive()
    }
}

impl<K, H, T> Transfers<K, H, T>
where
    K: Eq + Hash,
    H: Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the job for `key`, or prepares and starts one.
    ///
    /// `prepare` makes the handle and the work. It is the first part of the job's task: it may take its time, delays no other
    /// job, and goes on whether or not this future is polled.
    pub(crate) async fn start<F, Fut, Work>(
        &self,
        key: K,
        watcher: Watcher,
        prepare: F,
    ) -> Result<Transfer<H, T>>
    where
        F: FnOnce(Arc<Watchers>) -> Fut,
        Fut: Future<Output = Result<(H, Work)>> + Send + 'static,
        Work: Future<Output = Result<T>> + Send + 'static,
    {
        let seat = loop {
            let seat = {
                let mut jobs = lock(&self.jobs);
                let running = jobs.get(&key).and_then(Weak::upgrade);
                if let Some(job) = running.filter(|job| job.may_be_joined()) {
                    Seat::take(job, watcher.clone())
                } else {
                    jobs.retain(|_, job| job.strong_count() > 0);
                    let seat = Seat::take(Arc::new(Job::begin(prepare)), watcher);
                    jobs.insert(key, Arc::downgrade(&seat.job));
                    break seat;
                }
            };
            if let Some(handle) = seat.job.prepared().await {
                return Ok(Transfer { seat, handle, joined: true });
            }
            // Somebody else's could not be prepared: ours may be.
        };
        match seat.job.prepared().await {
            Some(handle) => Ok(Transfer { seat, handle, joined: false }),
            None => match seat.job.done().await {
                Err(error) => Err(error),
                Ok(_) => Err(EngineError::Internal(Defect::TransferUnprepared)),
            },
        }
    }
}

impl<K, H, T> Transfers<K, H, T>
where
    K: Eq + Hash,
{
    /// Leaves a job. If nobody else is in it, it ends, and what `take` takes of its handle is the caller's to get rid of.
    pub(crate) fn abandon<R>(
        &self,
        key: &K,
        transfer: Transfer<H, T>,
        take: impl FnOnce(&H) -> R,
    ) -> Option<R> {
        // Nobody joins it meanwhile.
        let mut jobs = lock(&self.jobs);
        let job = &transfer.seat.job;
        let left = (Arc::strong_count(job) == 1).then(|| {
            job.task.abort();
            // After a failure the key may be another job's.
            if jobs.get(key).is_some_and(|listed| listed.as_ptr() == Arc::as_ptr(job)) {
                jobs.remove(key);
            }
            take(&transfer.handle)
        });
        // Before the next who leaves counts.
        drop(transfer);
        left
    }
}

impl<H, T> Job<H, T>
where
    H: Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn begin<F, Fut, Work>(prepare: F) -> Self
    where
        F: FnOnce(Arc<Watchers>) -> Fut,
        Fut: Future<Output = Result<(H, Work)>> + Send + 'static,
        Work: Future<Output = Result<T>> + Send + 'static,
    {
        let watchers = Arc::new(Watchers::default());
        let preparing = prepare(Arc::clone(&watchers));
        let (prepared, handle) = watch::channel(None);
        let (ended, outcome) = watch::channel(None);
        let task = tokio::spawn(async move {
            let work = async {
                let (handle, work) = preparing.await?;
                prepared.send_replace(Some(Arc::new(handle)));
                work.await
            };
            let result = work.await.map_err(Arc::new);
            // Nobody may be waiting any more.
            let _ = ended.send(Some(result));
            // Closed last: who finds no handle finds the reason.
            drop(prepared);
        })
        .abort_handle();
        Self { handle, outcome, watchers, task }
    }

    /// Waits for the handle; `None` if there will be none.
    async fn prepared(&self) -> Option<Arc<H>> {
        let mut handle = self.handle.clone();
        let prepared = handle.wait_for(Option::is_some).await.ok()?;
        prepared.clone()
    }
}

impl<H, T: Clone> Job<H, T> {
    /// Says whether the job runs, or has ended well.
    fn may_be_joined(&self) -> bool {
        match &*self.outcome.borrow() {
            Some(result) => result.is_ok(),
            None => self.outcome.has_changed().is_ok(),
        }
    }

    /// Waits for the end of the job. Cancel-safe.
    async fn done(&self) -> Result<T> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => match &*outcome {
                Some(Ok(value)) => Ok(value.clone()),
                Some(Err(error)) => Err(EngineError::Shared(Arc::clone(error))),
                None => Err(EngineError::Cancelled),
            },
            // The task ended without a word: it panicked.
            Err(_) => Err(EngineError::Internal(Defect::TransferBrokenOff)),
        }
    }
}

impl<H, T> Seat<H, T> {
    fn take(job: Arc<Job<H, T>>, watcher: Watcher) -> Self {
        let watcher = job.watchers.join(watcher);
        Self { job, watcher }
    }
}

impl<H, T: Clone> Transfer<H, T> {
    /// Returns what there is before the job is done.
    pub(crate) fn handle(&self) -> &H {
        &self.handle
    }

    /// Says whether the job was started by somebody else.
    pub(crate) fn joined(&self) -> bool {
        self.joined
    }

    /// Waits for the end of the job. Cancel-safe.
    pub(crate) async fn done(&self) -> Result<T> {
        self.seat.job.done().await
    }
}

impl<H, T> Drop for Seat<H, T> {
    fn drop(&mut self) {
        self.job.watchers.leave(self.watcher);
    }
}

impl<H, T> Drop for Job<H, T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
