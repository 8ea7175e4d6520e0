//! Bodies that clients send, on their way to the threads that read them.
//!
//! A body takes a thread for as long as its sender likes, and there are only so many. So a body has a place, and who hardly sends
//! anything gives the place up when somebody waits for one; who sends nothing at all is cut off after a while.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout, timeout_at};

use crate::lock::lock;

/// Bodies that are received at once: far fewer than the runtime has threads that may block.
pub(crate) const MAX_RECEIVERS: usize = 64;
/// The longest wait for a body since the last [`PROGRESS`] of it, when another waits for its place.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that count as getting on: with [`PATIENCE`], a sender of 7 kB a second keeps the place.
const PROGRESS: usize = 64 << 10;
/// The longest standstill of a body in any case. Whoever packs what is sent may take minutes for the next piece.
const STANDSTILL: Duration = Duration::from_mins(10);
/// Chunks between the two.
const WAITING: usize = 8;
/// The most that may follow the end of an archive, and how long that is waited for: tars are padded, mostly to 10 KiB.
const MAX_TRAILER: u64 = 64 << 20;
const TRAILER_TIMEOUT: Duration = Duration::from_secs(10);

/// The places for bodies that are received.
#[derive(Debug)]
pub(crate) struct Receivers {
    most: usize,
    seats: Mutex<Seats>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    waited: Waited,
    leave: Arc<Notify>,
}

/// The time that a sender has been waited for.
#[derive(Clone, Copy, Debug, Default)]
struct Waited {
    before: Duration,
    /// Since when it is being waited for, if it is.
    since: Option<Instant>,
    /// Bytes since the last progress.
    came: usize,
}

impl Waited {
    fn until(self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    fn end(&mut self, came: usize) {
        self.before = self.until(Instant::now());
        self.since = None;
        self.came += came;
        if self.came >= PROGRESS {
            *self = Self::default();
        }
    }
}

impl Default for Receivers {
    fn default() -> Self {
        Self { most: MAX_RECEIVERS, seats: Mutex::default(), left: Notify::new() }
    }
}

impl Receivers {
    /// Waits for a place: until one is free, or somebody who does not get on makes room.
    pub(crate) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            let left = self.left.notified();
            let next = match self.try_enter() {
                Ok(place) => return place,
                Err(next) => next,
            };
            // Whichever comes first. A sender that gets on meanwhile is not the next one any more.
            let _ = timeout_at(next, left).await;
        }
    }

    /// Takes a place, or says when somebody may have to make room.
    fn try_enter(self: &Arc<Self>) -> Result<Place, Instant> {
        let now = Instant::now();
        let mut seats = self.seats();
        if seats.taken.len() >= self.most {
            let slowest = seats.taken.iter().max_by_key(|(_, seat)| seat.waited.until(now));
            let Some((&id, waited)) = slowest.map(|(id, seat)| (id, seat.waited.until(now))) else {
                return Err(now + PATIENCE);
            };
            let left = PATIENCE.saturating_sub(waited);
            if !left.is_zero() {
                return Err(now + left);
            }
            if let Some(seat) = seats.taken.remove(&id) {
                seat.leave.notify_one();
            }
        }
        let (id, leave) = (seats.next, Arc::new(Notify::new()));
        seats.next += 1;
        seats.taken.insert(id, Seat { waited: Waited::default(), leave: Arc::clone(&leave) });
        Ok(Place { receivers: Arc::clone(self), id, leave })
    }

    /// Counts the senders that are being waited for.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.seats().taken.values().filter(|seat| seat.waited.since.is_some()).count()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        lock(&self.seats)
    }
}

/// The right to have a thread read a body.
#[derive(Debug)]
pub(crate) struct Place {
    receivers: Arc<Receivers>,
    id: u64,
    leave: Arc<Notify>,
}

impl Place {
    /// Waits for the next piece of a body.
    async fn next(
        &self,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Option<io::Result<Bytes>> {
        self.note(Waited::begin);
        let piece = tokio::select! {
            piece = timeout(STANDSTILL, body.next()) => {
                piece.unwrap_or_else(|_| Some(Err(stands_still(STANDSTILL))))
            }
            () = self.leave.notified() => Some(Err(stands_still(PATIENCE))),
        };
        let came = piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, Bytes::len);
        self.note(|waited| waited.end(came));
        piece
    }

    fn note(&self, change: impl FnOnce(&mut Waited)) {
        if let Some(seat) = self.receivers.seats().taken.get_mut(&self.id) {
            change(&mut seat.waited);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.receivers.seats().taken.remove(&self.id);
        self.receivers.left.notify_one();
    }
}

fn stands_still(limit: Duration) -> io::Error {
    let text = format!("no more of the body came for {} seconds", limit.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// `None` is the end; a channel that closes without it was given up.
type Chunk = Option<io::Result<Bytes>>;

/// Reads what [`pump`] sends.
#[derive(Debug)]
pub(crate) struct Input {
    chunks: Receiver<Chunk>,
    current: Bytes,
    ended: bool,
}

/// Makes the two ends.
pub(crate) fn pipe() -> (Sender<Chunk>, Input) {
    let (sender, chunks) = channel(WAITING);
    (sender, Input { chunks, current: Bytes::new(), ended: false })
}

/// Sends all of `body`. What the reader has no use for is passed over.
pub(crate) async fn pump(
    body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    sender: Sender<Chunk>,
    place: Place,
) {
    loop {
        let chunk = tokio::select! {
            chunk = place.next(body) => chunk,
            () = sender.closed() => break,
        };
        let is_last = !matches!(chunk, Some(Ok(_)));
        // The reader may have seen the end of the archive already.
        if sender.send(chunk).await.is_err() {
            break;
        }
        if is_last {
            return;
        }
    }
    // Nobody's thread waits any more.
    drop(place);
    let rest = async {
        let mut left = MAX_TRAILER;
        while let Some(Ok(chunk)) = body.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(TRAILER_TIMEOUT, rest).await;
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.current = chunk?,
                Some(None) => self.ended = true,
                None => return Err(io::Error::other("cancelled")),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn receivers(most: usize) -> Arc<Receivers> {
        Arc::new(Receivers { most, ..Receivers::default() })
    }

    /// A body that sends `size` bytes each `pause`, for ever.
    fn dripping(size: usize, pause: Duration) -> impl Stream<Item = io::Result<Bytes>> + Unpin {
        Box::pin(stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok(Bytes::from(vec![0; size])), ()))
        }))
    }

    /// Reads a body to its end, as a thread would.
    async fn receive(
        place: Place,
        mut body: impl Stream<Item = io::Result<Bytes>> + Unpin,
    ) -> (u64, Option<io::Error>) {
        let (sender, mut input) = pipe();
        let reading = async {
            let mut size = 0;
            loop {
                match input.chunks.recv().await {
                    Some(Some(Ok(chunk))) => size += chunk.len() as u64,
                    Some(Some(Err(error))) => return (size, Some(error)),
                    Some(None) | None => return (size, None),
                }
            }
        };
        tokio::join!(reading, pump(&mut body, sender, place)).0
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_get_on_makes_room_for_who_waits() {
        let receivers = receivers(3);
        let quick = receive(receivers.enter().await, dripping(64 << 10, Duration::from_secs(5)));
        let drip = receive(receivers.enter().await, dripping(1, Duration::from_secs(1)));
        let silent = receive(receivers.enter().await, Box::pin(stream::pending()));
        let (quick, drip, silent) = (tokio::spawn(quick), tokio::spawn(drip), tokio::spawn(silent));
        tokio::task::yield_now().await;
        let began = Instant::now();
        for _ in 0..2 {
            let newcomer = receivers.enter().await;
            let body = stream::iter([Ok(Bytes::from_static(b"all"))]);
            assert!(matches!(receive(newcomer, body).await, (3, None)));
        }
        assert_eq!(began.elapsed(), PATIENCE, "the second finds the place of the first");
        let slow = receivers.enter().await;
        let last = receivers.enter().await;
        let (drip, silent) = (drip.await.unwrap(), silent.await.unwrap());
        for (_, error) in [&drip, &silent] {
            assert_eq!(error.as_ref().unwrap().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(silent.0, 0);
        assert!(!quick.is_finished());
        drop((slow, last));
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_cut_off_and_who_is_read_slowly_is_not() {
        let receivers = receivers(2);
        let place = receivers.enter().await;
        let (_, error) = receive(place, Box::pin(stream::pending())).await;
        assert_eq!(error.unwrap().to_string(), "no more of the body came for 600 seconds");

        let place = receivers.enter().await;
        let (sender, input) = pipe();
        let pumping = tokio::spawn(async move {
            pump(&mut dripping(1 << 20, Duration::ZERO), sender, place).await;
        });
        tokio::time::sleep(STANDSTILL * 2).await;
        let other = receivers.enter().await;
        // Ours is not idle: it is we who are slow. The newcomer waits for another.
        let waiting = timeout(PATIENCE * 10, receivers.enter()).await;
        assert!(waiting.is_err());
        drop(other);
        receivers.enter().await;
        drop(input);
        pumping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_an_archive_is_not_waited_for_long() {
        let receivers = receivers(1);
        let (sender, input) = pipe();
        let place = receivers.enter().await;
        let began = Instant::now();
        let pumping = tokio::spawn(async move {
            pump(&mut Box::pin(stream::pending()), sender, place).await;
        });
        tokio::task::yield_now().await;
        drop(input);
        receivers.enter().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "its place is free at once");
        pumping.await.unwrap();
        assert_eq!(began.elapsed(), TRAILER_TIMEOUT);
    }
}
