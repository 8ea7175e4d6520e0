//! Hosts that serve fewer at once than ask them: who is refused while others are served waits until one of these is done.
//!
//! How many a host serves is learnt from its refusals alone, and forgotten after a while. Who is refused while nobody else of this
//! process is served is refused indeed, unless the host has been found to serve few: it may not know yet that the one before is done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::waits::host_of;
use crate::{Recovery, RegistryError, error::fault::RequestFault, lock::lock};

/// The time for which a host is asked for no more at once than it served: it may have been busy with others.
const REMEMBERED: Duration = Duration::from_mins(1);

/// The time after which a host that serves few has seen that the last of these is done.
const SETTLED: Duration = Duration::from_millis(250);

/// The hosts that blobs are fetched from.
#[derive(Debug, Default)]
pub(crate) struct Crowds {
    hosts: Mutex<HashMap<String, Crowd>>,
    /// Told of every turn that is given up.
    left: Notify,
}

/// Those that ask one host.
#[derive(Debug, Default)]
struct Crowd {
    count: usize,
    /// The most that it may be, and until when.
    bound: Option<(usize, Instant)>,
}

impl Crowd {
    fn bound(&self) -> Option<(usize, Instant)> {
        self.bound.filter(|(_, end)| *end > Instant::now())
    }
}

/// A turn among those that ask a host, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    crowds: Arc<Crowds>,
    host: String,
}

impl Crowds {
    /// Waits for a turn among those that ask a URL's host.
    pub(crate) async fn enter(self: &Arc<Self>, url: &Url) -> Turn {
        self.enter_host(host_of(url)).await
    }

    async fn enter_host(self: &Arc<Self>, host: String) -> Turn {
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            let full_until = {
                let mut hosts = lock(&self.hosts);
                hosts.retain(|_, crowd| crowd.count > 0 || crowd.bound().is_some());
                let crowd = hosts.entry(host.clone()).or_default();
                let full = crowd.bound().filter(|(most, _)| crowd.count >= *most);
                crowd.count += usize::from(full.is_none());
                full.map(|(_, end)| end)
            };
            let Some(end) = full_until else { return Turn { crowds: Arc::clone(self), host } };
            let _ = timeout_at(end, left).await;
        }
    }
}

impl Turn {
    /// Gives the turn up as the host refused the request in it, and waits for another if that may have been because of the
    /// others that it serves; returns the failure if there is nobody else.
    pub(crate) async fn refused(self, error: RegistryError) -> Result<Turn, RegistryError> {
        if !is_of_crowds(&error) {
            return Err(error);
        }
        let is_alone = {
            let mut hosts = lock(&self.crowds.hosts);
            let Some(crowd) = hosts.get_mut(&self.host) else { return Err(error) };
            let is_alone = crowd.count == 1;
            if is_alone && crowd.bound().is_none() {
                return Err(error);
            }
            crowd.bound = Some((crowd.count.max(2) - 1, Instant::now() + REMEMBERED));
            is_alone
        };
        if is_alone {
            sleep(SETTLED).await;
            return Ok(self);
        }
        tracing::info!(host = self.host, %error, "asked for less at once");
        let (crowds, host) = (Arc::clone(&self.crowds), self.host.clone());
        drop(self);
        Ok(crowds.enter_host(host).await)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(crowd) = lock(&self.crowds.hosts).get_mut(&self.host) {
            crowd.count = crowd.count.saturating_sub(1);
        }
        self.crowds.left.notify_waiters();
    }
}

/// Tells whether a host may have failed so because too much was asked of it at once.
fn is_of_crowds(error: &RegistryError) -> bool {
    let is_refusal = match error {
        RegistryError::Refused(refusal) => matches!(refusal.status, 429 | 503),
        RegistryError::Request(failed) => {
            matches!(failed.fault, RequestFault::Dial { .. } | RequestFault::Broken { .. })
        }
        _ => false,
    };
    is_refusal && matches!(error.recovery(), Recovery::Retry { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> RegistryError {
        let fault = RequestFault::Broken { reason: "EOF".to_owned(), dialling: false };
        let failed = crate::error::fault::RequestFailed {
            method: http::Method::GET,
            url: String::new(),
            fault,
            established: true,
        };
        RegistryError::Request(Box::new(failed))
    }

    fn count(crowds: &Crowds) -> usize {
        lock(&crowds.hosts).values().map(|crowd| crowd.count).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_waits_for_those_that_are_served() {
        let crowds = Arc::new(Crowds::default());
        let url = Url::parse("http://r:5000/v2/").unwrap();
        let [first, second, third] =
            [crowds.enter(&url).await, crowds.enter(&url).await, crowds.enter(&url).await];
        let other = crowds.enter(&Url::parse("http://r/").unwrap()).await;
        let begun = Instant::now();
        let third = tokio::spawn(third.refused(refusal()));
        let second = tokio::spawn(second.refused(refusal()));
        tokio::task::yield_now().await;
        assert_eq!(count(&crowds), 2, "one there, one elsewhere");
        drop(first);
        // One of the two gets the turn, and the other gets it after that.
        let (one, rest) = futures_util::future::select(third, second).await.factor_first();
        assert_eq!(count(&crowds), 2);
        drop(one.unwrap().unwrap());
        let last = rest.await.unwrap().unwrap();
        assert_eq!((count(&crowds), begun.elapsed()), (2, Duration::ZERO));
        // Alone, it may have come too early, and is refused indeed where nothing says that this host serves few.
        let last = last.refused(refusal()).await.unwrap();
        assert_eq!((count(&crowds), begun.elapsed()), (2, SETTLED));
        drop(last);
        other.refused(refusal()).await.unwrap_err();
        assert_eq!(count(&crowds), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_is_forgotten_and_other_failures_make_none() {
        let crowds = Arc::new(Crowds::default());
        let url = Url::parse("http://r:5000/v2/").unwrap();
        let [first, second] = [crowds.enter(&url).await, crowds.enter(&url).await];
        let begun = Instant::now();
        let again = second.refused(refusal()).await.unwrap();
        assert_eq!(begun.elapsed(), REMEMBERED);
        let missing = RegistryError::NoEndpoint { host: String::new() };
        again.refused(missing).await.unwrap_err();
        let others = [crowds.enter(&url).await, crowds.enter(&url).await];
        assert_eq!((count(&crowds), begun.elapsed()), (3, REMEMBERED), "no bound");
        drop((first, others));
        drop(crowds.enter(&Url::parse("http://other/").unwrap()).await);
        assert_eq!(lock(&crowds.hosts).len(), 1, "nothing is kept of who is not asked");
    }
}
