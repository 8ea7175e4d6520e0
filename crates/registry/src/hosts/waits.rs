//! Hosts that ask to be left alone for a while: what one request is told holds for all of the process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::StatusCode;
use reqwest::Url;
use tokio::time::Instant;

use crate::{error::refusal::status_line, error::retry_after::MAX_RETRY_AFTER, lock::lock};

/// The most hosts that are remembered. Beyond, each request finds out for itself.
const MAX_HOSTS: usize = 256;
/// The longest wait of one request, however often others are told to wait meanwhile. It is sent then.
const MAX_WAITING: Duration = MAX_RETRY_AFTER.saturating_mul(3);

/// The hosts of this process that asked for a wait. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<Mutex<HashMap<String, Held>>>);

/// The wait of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    until: Instant,
    status: StatusCode,
}

/// A wait that a host asked for, as a user is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The host and its port.
    pub host: String,
    /// The status that asked for it, `429 Too Many Requests`.
    pub status: String,
    /// The rest of the wait.
    pub left: Duration,
}

impl Held {
    /// Returns how it asked.
    pub(crate) fn status(&self) -> String {
        status_line(self.status)
    }

    /// Returns how long the wait is from now on, in whole seconds.
    pub(crate) fn left(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        Duration::from_secs(left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
    }
}

impl Waits {
    /// Takes note of what a host asks for, if that is a wait and not too long a one. Returns whether it is.
    pub(crate) fn note(&self, url: &Url, status: StatusCode, after: Option<Duration>) -> bool {
        let asks =
            matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let allowed = |after: &Duration| !after.is_zero() && *after <= MAX_RETRY_AFTER;
        let Some(after) = after.filter(allowed).filter(|_| asks) else { return false };
        let now = Instant::now();
        let mut hosts = self.lock();
        hosts.retain(|_, held| held.until > now);
        let host = host_of(url);
        if hosts.len() >= MAX_HOSTS && !hosts.contains_key(&host) {
            return false;
        }
        let until = now + after;
        let held = hosts.entry(host).or_insert(Held { until, status });
        if held.until < until {
            *held = Held { until, status };
        }
        true
    }

    /// Returns what a URL's host asked for, if it is not over.
    pub(crate) fn held(&self, url: &Url) -> Option<Held> {
        let held = self.lock().get(&host_of(url)).copied();
        held.filter(|held| held.until > Instant::now())
    }

    /// Waits until a URL's host may be asked.
    pub(crate) async fn pass(&self, url: &Url, listener: Option<&Listener>) {
        let end = Instant::now() + MAX_WAITING;
        while let Some(held) = self.held(url).filter(|_| Instant::now() < end) {
            if let Some(listener) = listener {
                listener.tell(host_of(url), held);
            }
            tokio::time::sleep_until(held.until.min(end)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        lock(&self.0)
    }
}

/// Host and port, by which servers are told apart.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A listener for waits: it is told of each once, however many requests are held.
pub(crate) struct Listener {
    tell: Box<dyn Fn(Wait) + Send + Sync>,
    told: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Listener {
    pub(crate) fn new(tell: impl Fn(Wait) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), told: Mutex::default() }
    }

    fn tell(&self, host: String, held: Held) {
        let mut told = lock(&self.told);
        // No more hosts than `Waits` has, but for those whose wait is over.
        if told.len() > MAX_HOSTS {
            told.clear();
        }
        if told.insert(host.clone(), held.until) != Some(held.until) {
            (self.tell)(Wait { host, status: held.status(), left: held.left() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_holds_for_all_requests_to_its_host_and_for_no_others() {
        let waits = Waits::default();
        assert!(waits.note(
            &url("https://r:5000/a"),
            StatusCode::TOO_MANY_REQUESTS,
            Some(SECOND * 7)
        ));
        let (heard, told) = std::sync::mpsc::channel();
        let listener = Listener::new(move |wait| heard.send(wait).unwrap());
        let begun = Instant::now();
        waits.pass(&url("https://r/a"), Some(&listener)).await;
        waits.pass(&url("https://other:5000/"), Some(&listener)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let own = url("http://r:5000/other");
        tokio::join!(waits.pass(&own, Some(&listener)), waits.pass(&own, Some(&listener)));
        assert_eq!(begun.elapsed().as_secs(), 7);
        let status = "429 Too Many Requests".to_owned();
        let expected = Wait { host: "r:5000".to_owned(), status, left: SECOND * 7 };
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [expected], "once");
        assert!(waits.held(&own).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_bounded() {
        let waits = Waits::default();
        let here = url("https://r/");
        for (status, after) in [
            (StatusCode::TOO_MANY_REQUESTS, None),
            (StatusCode::TOO_MANY_REQUESTS, Some(Duration::ZERO)),
            (StatusCode::SERVICE_UNAVAILABLE, Some(MAX_RETRY_AFTER + SECOND)),
            (StatusCode::BAD_GATEWAY, Some(SECOND)),
        ] {
            assert!(!waits.note(&here, status, after), "{status} {after:?}");
        }
        assert!(waits.held(&here).is_none());

        // A host that goes on asking does not keep a request for ever.
        let again = waits.clone();
        let host = here.clone();
        let asking = tokio::spawn(async move {
            loop {
                again.note(&host, StatusCode::SERVICE_UNAVAILABLE, Some(MAX_RETRY_AFTER));
                tokio::time::sleep(SECOND).await;
            }
        });
        let begun = Instant::now();
        tokio::task::yield_now().await;
        waits.pass(&here, None).await;
        assert_eq!(begun.elapsed(), MAX_WAITING);
        asking.abort();

        for number in 0..2 * MAX_HOSTS {
            let host = url(&format!("https://r{number}/"));
            waits.note(&host, StatusCode::TOO_MANY_REQUESTS, Some(SECOND));
        }
        assert!(waits.lock().len() <= MAX_HOSTS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_counts() {
        let waits = Waits::default();
        let here = url("https://r/");
        for seconds in [5, 9, 2] {
            waits.note(&here, StatusCode::TOO_MANY_REQUESTS, Some(SECOND * seconds));
        }
        assert_eq!(waits.held(&here).unwrap().left(), SECOND * 9);
    }
}
