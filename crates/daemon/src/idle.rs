//! Connections that wait for a request: who has waited longest makes room for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections of a daemon that have nothing to do, in the order in which they came to have nothing to do.
#[derive(Debug, Default)]
pub(crate) struct IdleList {
    waiting: Mutex<Waiting>,
    /// Told when a connection comes to have nothing to do.
    rested: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    seats: BTreeMap<u64, Arc<Notify>>,
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

    /// Asks the connection that has been idle longest to end. False if there is none.
    pub(crate) fn evict(&self) -> bool {
        match self.lock().seats.pop_first() {
            Some((_, leave)) => {
                leave.notify_one();
                true
            }
            None => false,
        }
    }

    /// Waits until a connection comes to have nothing to do. One that did since the last wait counts.
    pub(crate) async fn rested(&self) {
        self.rested.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.give_up();
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
        list.rested.notify_one();
    }

    fn give_up(&self) {
        let Some(list) = &self.list else { return };
        let mut waiting = list.lock();
        if let Some(ticket) = self.ticket.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waiting.seats.remove(&ticket);
        }
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
        list.rested().await;
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
    async fn who_is_gone_is_not_asked() {
        let list = Arc::new(IdleList::default());
        drop(Occupied(list.seat()));
        assert!(!list.evict());
        assert!(!asked(&Seat::default()));
    }
}
