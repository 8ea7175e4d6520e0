//! Connections that wait for a request: who has waited longest makes room for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections of a daemon that have nothing to do, in the order in which they came to have nothing to do.
#[derive(Debug, Default)]
pub(crate) struct IdleList {
    waiting: Mutex<Waiting>,
    /// Told when there may be another connection to ask.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    seats: BTreeMap<u64, Arc<Notify>>,
    /// Whether one was asked to end that has not yet.
    leaving: bool,
}

impl IdleList {
    /// A seat for a new connection, which is idle until its first request.
    pub(crate) fn seat(self: &Arc<Self>) -> Seat {
        let seat = Seat {
            list: Some(Arc::clone(self)),
            ticket: Arc::new(Mutex::new(None)),
            leave: Arc::default(),
        };
        seat.rest();
        seat
    }

    /// Asks the connection that has been idle longest to end, unless another one is about to.
    pub(crate) fn make_room(&self) {
        let mut waiting = self.lock();
        if !waiting.leaving {
            waiting.leaving = waiting.evict();
        }
    }

    /// Asks the connection that has been idle longest to end, whatever others do. False if there is none.
    pub(crate) fn evict(&self) -> bool {
        self.lock().evict()
    }

    /// A connection has ended.
    pub(crate) fn left(&self) {
        self.lock().leaving = false;
    }

    /// Waits until [`IdleList::make_room`] may find somebody. What changed since the last wait counts.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn evict(&mut self) -> bool {
        match self.seats.pop_first() {
            Some((_, leave)) => {
                leave.notify_one();
                true
            }
            None => false,
        }
    }
}

/// A connection's place among those of the daemon. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat {
    /// None for a connection that is never asked to leave.
    list: Option<Arc<IdleList>>,
    /// The place in the list while there is nothing to do.
    ticket: Arc<Mutex<Option<u64>>>,
    leave: Arc<Notify>,
}

impl Seat {
    /// Has a request from now until what is returned is dropped.
    pub(crate) fn work(&self) -> Work {
        if let Some(list) = &self.list
            && self.give_up()
        {
            // It was asked to leave in the same moment, and stays: somebody else must be asked.
            list.left();
            list.changed.notify_one();
        }
        Work(self.clone())
    }

    /// Waits until the connection should end, which may be only while there is nothing to do.
    pub(crate) async fn asked_to_leave(&self) {
        loop {
            self.leave.notified().await;
            // A request may have come in the same moment; its connection stays.
            let ticket = *self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
            if ticket.is_some() {
                return;
            }
        }
    }

    fn rest(&self) {
        let Some(list) = &self.list else { return };
        let mut waiting = list.lock();
        let ticket = waiting.next;
        waiting.next += 1;
        waiting.seats.insert(ticket, Arc::clone(&self.leave));
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket);
        drop(waiting);
        list.changed.notify_one();
    }

    /// Takes the place out of the list. True if it was out already, because the connection was asked to leave.
    fn give_up(&self) -> bool {
        let Some(list) = &self.list else { return false };
        let mut waiting = list.lock();
        let ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner).take();
        ticket.is_some_and(|ticket| waiting.seats.remove(&ticket).is_none())
    }
}

/// A request being answered.
#[derive(Debug)]
pub(crate) struct Work(Seat);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// The last word of a connection: its place is free.
#[derive(Debug)]
pub(crate) struct Occupied(pub(crate) Seat);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn asked(seat: &Seat) -> bool {
        seat.asked_to_leave().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_first_and_the_busy_never() {
        let list = Arc::new(IdleList::default());
        let [first, second, third] = std::array::from_fn(|_| list.seat());
        let work = second.work();
        drop(first.work());
        // In order: third, first; second is busy.
        assert!(list.evict());
        assert_eq!([asked(&first), asked(&second), asked(&third)], [false, false, true]);
        assert!(list.evict());
        assert_eq!([asked(&first), asked(&second)], [true, false]);
        assert!(!list.evict());
        drop(work);
        list.changed().await;
        assert!(list.evict());
        assert!(asked(&second));
    }

    #[tokio::test]
    async fn a_request_that_came_in_the_same_moment_is_answered() {
        let list = Arc::new(IdleList::default());
        let seat = list.seat();
        assert!(list.evict());
        let work = seat.work();
        assert!(!asked(&seat));
        drop(work);
        assert!(!asked(&seat), "the request was answered, and the news is old");
        assert!(list.evict() && asked(&seat));
    }

    #[tokio::test]
    async fn one_leaves_at_a_time_and_who_stays_is_followed_by_another() {
        let list = Arc::new(IdleList::default());
        let [first, second] = std::array::from_fn(|_| list.seat());
        list.make_room();
        list.make_room();
        let work = first.work();
        list.changed().await;
        assert_eq!([asked(&first), asked(&second)], [false, false]);
        list.make_room();
        assert!(asked(&second));
        drop((work, Occupied(second)));
        list.make_room();
        assert!(!asked(&first), "the second has not ended yet");
        list.left();
        list.make_room();
        assert!(asked(&first));
    }

    #[tokio::test]
    async fn who_is_gone_is_not_asked() {
        let list = Arc::new(IdleList::default());
        drop(Occupied(list.seat()));
        assert!(!list.evict());
        assert!(!asked(&Seat::default()));
    }
}
