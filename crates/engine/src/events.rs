//! Events of images, for those who watch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::lock::lock;

/// Events that are remembered for a watcher who asks for the past; dockerd remembers as many.
const HISTORY: usize = 256;
/// Events that a slow watcher may be behind before it loses some.
const BACKLOG: usize = 1024;

/// The kind of thing that an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// One image came, went or changed its names.
    Image,
    /// The daemon itself.
    Daemon,
    /// Containers, of which there are none: only that they were pruned is told.
    Container,
    /// Networks, likewise.
    Network,
    /// Volumes, likewise.
    Volume,
    /// The cache of a builder, likewise.
    Builder,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// To what it happened.
    pub kind: EventKind,
    /// The verb: `pull`, `push`, `tag`, `untag`, `delete` … or `reload`.
    pub action: &'static str,
    /// The image: its ID, or for `pull` the reference. Or the daemon's ID.
    pub actor_id: String,
    /// The image's labels, and `name`; or what the daemon was told.
    pub attributes: BTreeMap<String, String>,
    /// The time, in nanoseconds since 1970.
    pub time_nano: i64,
}

/// All events of this process.
#[derive(Debug)]
pub struct Events {
    history: Mutex<VecDeque<Event>>,
    sender: broadcast::Sender<Event>,
    count: AtomicU64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            history: Mutex::default(),
            sender: broadcast::channel(BACKLOG).0,
            count: AtomicU64::new(0),
        }
    }
}

impl Events {
    /// Returns the remembered events, the oldest first, and those to come, without a gap between.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let history = lock(&self.history);
        (history.iter().cloned().collect(), self.sender.subscribe())
    }

    /// Returns the number of events so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Tells that something happened now.
    pub fn publish(
        &self,
        kind: EventKind,
        action: &'static str,
        actor_id: String,
        attributes: BTreeMap<String, String>,
    ) {
        let now = jiff::Timestamp::now().as_nanosecond();
        let time_nano = i64::try_from(now).unwrap_or(i64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        let event = Event { kind, action, actor_id, attributes, time_nano };
        let mut history = lock(&self.history);
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(event.clone());
        // Nobody may be listening.
        let _ = self.sender.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_newest_and_tells_the_rest() {
        let events = Events::default();
        for n in 0..=HISTORY {
            events.publish(EventKind::Image, "pull", n.to_string(), BTreeMap::new());
        }
        let (history, mut receiver) = events.subscribe();
        assert_eq!((history.len(), history[0].actor_id.as_str()), (HISTORY, "1"));
        events.publish(EventKind::Image, "tag", "x".into(), BTreeMap::new());
        assert_eq!(receiver.try_recv().unwrap().action, "tag");
    }
}
