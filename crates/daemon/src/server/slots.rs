//! Connection slots: when all are taken, the connection that has been idle longest makes room for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::lock::lock;

/// The slots of a daemon. Idle ones are kept in the order in which they became idle.
#[derive(Debug, Default)]
pub(super) struct ConnectionSlots {
    queue: Mutex<IdleQueue>,
    /// Notified when another connection may be idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct IdleQueue {
    next_order: u64,
    idle: BTreeMap<u64, Arc<Notify>>,
    /// True while a connection that was asked to end has not ended.
    evicting: bool,
}

impl ConnectionSlots {
    /// Takes a slot for a new connection, which is idle until its first request.
    pub(super) fn slot(self: &Arc<Self>) -> Slot {
        let slot = Slot {
            slots: Some(Arc::clone(self)),
            idle_order: Arc::new(Mutex::new(None)),
            eviction: Arc::default(),
        };
        slot.begin_idle();
        slot
    }

    /// Asks the connection that has been idle longest to end, unless another one is about to.
    pub(super) fn evict_for_newcomer(&self) {
        let mut queue = lock(&self.queue);
        if !queue.evicting {
            queue.evicting = queue.evict();
        }
    }

    /// Asks the connection that has been idle longest to end, whatever others do. False if there is none.
    pub(super) fn evict(&self) -> bool {
        lock(&self.queue).evict()
    }

    /// Notes that a connection has ended.
    pub(super) fn ended(&self) {
        lock(&self.queue).evicting = false;
    }

    /// Waits until [`ConnectionSlots::evict_for_newcomer`] may find somebody. What changed since the last wait counts.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl IdleQueue {
    fn evict(&mut self) -> bool {
        match self.idle.pop_first() {
            Some((_, eviction)) => {
                eviction.notify_one();
                true
            }
            None => false,
        }
    }
}

/// A connection's slot. Clones are the same slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// None for a connection that is never evicted.
    slots: Option<Arc<ConnectionSlots>>,
    /// The key in the queue while the connection is idle.
    idle_order: Arc<Mutex<Option<u64>>>,
    eviction: Arc<Notify>,
}

impl Slot {
    /// Marks the connection busy until the guard is dropped.
    pub(super) fn busy(&self) -> BusyGuard {
        if let Some(slots) = &self.slots
            && self.end_idle()
        {
            // It was asked to leave in the same moment, and stays: somebody else must be asked.
            slots.ended();
            slots.changed.notify_one();
        }
        BusyGuard(self.clone())
    }

    /// Waits until the connection should end, which may be only while there is nothing to do.
    pub(super) async fn evicted(&self) {
        loop {
            self.eviction.notified().await;
            // A request may have come in the same moment; its connection stays.
            let idle_order = *lock(&self.idle_order);
            if idle_order.is_some() {
                return;
            }
        }
    }

    fn begin_idle(&self) {
        let Some(slots) = &self.slots else { return };
        let mut queue = lock(&slots.queue);
        let idle_order = queue.next_order;
        queue.next_order += 1;
        queue.idle.insert(idle_order, Arc::clone(&self.eviction));
        *lock(&self.idle_order) = Some(idle_order);
        drop(queue);
        slots.changed.notify_one();
    }

    /// Takes the slot out of the queue. True if it was out already, because the connection was evicted.
    fn end_idle(&self) -> bool {
        let Some(slots) = &self.slots else { return false };
        let mut queue = lock(&slots.queue);
        let idle_order = lock(&self.idle_order).take();
        idle_order.is_some_and(|idle_order| queue.idle.remove(&idle_order).is_none())
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct BusyGuard(Slot);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.begin_idle();
    }
}

/// The end of a connection: dropping it frees the slot.
#[derive(Debug)]
pub(super) struct SlotGuard(pub(super) Slot);

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.0.end_idle();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn asked(slot: &Slot) -> bool {
        slot.evicted().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_first_and_the_busy_never() {
        let slots = Arc::new(ConnectionSlots::default());
        let [first, second, third] = std::array::from_fn(|_| slots.slot());
        let work = second.busy();
        drop(first.busy());
        // In order: third, first; second is busy.
        assert!(slots.evict());
        assert_eq!([asked(&first), asked(&second), asked(&third)], [false, false, true]);
        assert!(slots.evict());
        assert_eq!([asked(&first), asked(&second)], [true, false]);
        assert!(!slots.evict());
        drop(work);
        slots.changed().await;
        assert!(slots.evict());
        assert!(asked(&second));
    }

    #[tokio::test]
    async fn a_request_that_came_in_the_same_moment_is_answered() {
        let slots = Arc::new(ConnectionSlots::default());
        let slot = slots.slot();
        assert!(slots.evict());
        let work = slot.busy();
        assert!(!asked(&slot));
        drop(work);
        assert!(!asked(&slot), "the request was answered, and the news is old");
        assert!(slots.evict() && asked(&slot));
    }

    #[tokio::test]
    async fn one_leaves_at_a_time_and_who_stays_is_followed_by_another() {
        let slots = Arc::new(ConnectionSlots::default());
        let [first, second] = std::array::from_fn(|_| slots.slot());
        slots.evict_for_newcomer();
        slots.evict_for_newcomer();
        let work = first.busy();
        slots.changed().await;
        assert_eq!([asked(&first), asked(&second)], [false, false]);
        slots.evict_for_newcomer();
        assert!(asked(&second));
        drop((work, SlotGuard(second)));
        slots.evict_for_newcomer();
        assert!(!asked(&first), "the second has not ended yet");
        slots.ended();
        slots.evict_for_newcomer();
        assert!(asked(&first));
    }

    #[tokio::test]
    async fn who_is_gone_is_not_asked() {
        let slots = Arc::new(ConnectionSlots::default());
        drop(SlotGuard(slots.slot()));
        assert!(!slots.evict());
        assert!(!asked(&Slot::default()));
    }
}
