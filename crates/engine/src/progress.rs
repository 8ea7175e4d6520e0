//! Reports of an operation while it runs: facts, not words. A front end chooses the words.
//!
//! Reports never block and never grow without bound: counters of one layer are thinned out to one per 100 ms (the last one always
//! passes), and a counter that nobody has read yet is replaced by its successor.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry::Wait;
use spec::{ChainId, Descriptor, DiffId, Digest, ImageId, MediaType};
use tokio::sync::Notify;

use crate::lock::lock;

/// The shortest time between two reports of a layer's counter; dockerd has the same.
const COUNTER_INTERVAL: Duration = Duration::from_millis(100);

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressEvent {
    /// A pull knows its manifest.
    Pulling {
        /// The tag or digest asked for.
        reference: String,
        /// The repository's path at its registry.
        repository: String,
    },
    /// A pull goes on with a manifest of schema 1.
    FirstSchema {
        /// The image, canonical.
        reference: String,
    },
    /// Something happened to a layer.
    Layer {
        /// The first twelve digits of its digest (pull) or diff ID (push).
        id: String,
        /// The new state of the layer.
        state: LayerState,
    },
    /// Something is known of a layer beside its state.
    Facts {
        /// The layer, as its states name it.
        id: String,
        /// Facts that are known of it.
        facts: LayerFacts,
    },
    /// A pull has everything; the digest of what the tag pointed to.
    PullDone {
        /// The digest of the manifest or index.
        digest: Digest,
    },
    /// A pull of all tags leaves one out.
    TagPassedOver {
        /// The one that is left out.
        tag: String,
        /// The property for which it is.
        reason: PassedOver,
    },
    /// A pull of all tags could not get one.
    TagFailed {
        /// The one that failed.
        tag: String,
        /// The reason, as an error tells it.
        reason: String,
    },
    /// A pull leaves something out that a registry lists of an image.
    LeftOut {
        /// The digest by which it is listed.
        digest: Digest,
        /// The property for which it is.
        reason: PartLeftOut,
    },
    /// A push begins.
    Pushing {
        /// The repository, canonical.
        repository: String,
    },
    /// A push made layers anew that are not kept as they came, and so another manifest.
    LayersRemade {
        /// The one that is pushed.
        tag: String,
        /// The manifest that the image came with.
        came_with: Digest,
    },
    /// A push has seen to the referrers of an image.
    Referrers {
        /// The one that is pushed.
        tag: String,
        /// Those that were sent.
        sent: usize,
        /// Those that the registry had.
        present: usize,
    },
    /// A push sent a manifest of schema 1, as the registry takes no other.
    PushedFirstSchema {
        /// The registry, as an image's name has it.
        registry: String,
    },
    /// A push of one tag is over.
    Pushed {
        /// The one that was pushed.
        tag: String,
        /// The manifest's digest.
        digest: Digest,
        /// The manifest's size in bytes.
        size: u64,
    },
    /// A push of one tag sent the image alone, as not all that its index lists is here or at the registry.
    PushedWithoutIndex {
        /// The index that the image came by.
        index: Box<Descriptor>,
        /// The manifest that was pushed in its place, with its platform.
        manifest: Box<Descriptor>,
    },
    /// An image of an archive is here under this name.
    Loaded {
        /// The reference, familiar.
        reference: String,
    },
    /// An image of an archive that leaves layers out comes without its manifest: they are here, but not in the form that it names.
    WithoutManifest(ImageId),
    /// A tag of an archive meant another image before.
    TagTaken {
        /// The reference, familiar.
        reference: String,
        /// That image.
        id: ImageId,
    },
    /// An import begins to download.
    DownloadingFrom(String),
    /// An import has read this much of a download.
    Importing {
        /// Bytes that arrived.
        current: u64,
        /// Bytes in all, if that is known.
        total: Option<u64>,
    },
    /// A registry asked to be left alone for a while, and is.
    HeldOff(Wait),
    /// A check looks at one of several parts of the data root.
    Checking {
        /// Its number, from 1.
        number: usize,
        /// The number of all.
        total: usize,
        /// The layer or blob.
        part: CheckedPart,
    },
    /// One of several layers is unpacked into a directory.
    Unpacking {
        /// Its number, from 1.
        number: usize,
        /// The number of all.
        total: usize,
        /// The one in hand.
        layer: DiffId,
    },
}

/// A part of the data root that a check compares with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckedPart {
    /// An unpacked layer.
    Layer(ChainId),
    /// A kept blob.
    Blob(Digest),
}

/// The reason to leave out a tag when all are pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// It is of another kind, by its own media type or that of its config.
    Kind(MediaType),
    /// The registry lists it and has no manifest for it.
    NoManifest,
    /// It has no image for this platform.
    NoPlatform(String),
    /// It is an image for an operating system whose layers cannot be unpacked here.
    OperatingSystem(String),
}

/// The property of a part of an image for which a pull leaves it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartLeftOut {
    /// It is listed as a referrer, and its list is older than its end.
    Gone,
    /// It is listed as a referrer of something that it does not refer to.
    RefersElsewhere,
    /// It is of a kind that cannot be kept.
    Kind(MediaType),
    /// It is listed as a referrer; it, or what it lists, is not there whole.
    NotWhole,
    /// It is listed as a referrer; with it there would be more than is kept, and none of those after it is either.
    Beyond,
    /// The referrers: the list of them cannot be read.
    Referrers,
    /// It refers to the image, may be an image itself, and the policy refuses it.
    Refused,
}

/// Facts of a layer beside its state; the rest is as it was said before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerFacts {
    /// Bytes of its blob.
    pub size: Option<u64>,
    /// Those of them that need not be moved, as they were there before.
    pub present: Option<u64>,
    /// The host that it comes from or goes to.
    pub host: Option<String>,
}

impl LayerFacts {
    /// A layer of `size` bytes that all have to be moved.
    pub(crate) fn wanted(size: u64) -> Self {
        Self { size: Some(size), present: Some(0), host: None }
    }

    /// A layer of `size` bytes none of which need be moved.
    pub(crate) fn here(size: u64) -> Self {
        Self { size: Some(size), present: Some(size), host: None }
    }

    /// Takes what is newer.
    pub fn learn(&mut self, newer: &Self) {
        self.size = newer.size.or(self.size);
        self.present = newer.present.or(self.present);
        if newer.host.is_some() {
            self.host.clone_from(&newer.host);
        }
    }
}

/// The state of one layer. Counters are in bytes of the blob (pull) or of the layer's content (push).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// It is not here and will be fetched.
    PullingFsLayer,
    /// It waits for its turn.
    Waiting,
    /// Bytes arrive.
    Downloading {
        /// Bytes on the disk.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// All bytes are here. Whether they are the right ones shows when they are unpacked.
    Downloaded,
    /// Its blob was kept, and only needs to be unpacked.
    Kept,
    /// It is being unpacked.
    Extracting {
        /// Bytes of the blob that are unpacked.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is read from an archive and unpacked.
    Loading {
        /// Bytes that are unpacked, as they are in the archive.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is ready.
    PullComplete,
    /// It was here before.
    AlreadyExists,
    /// An attempt failed; another begins after this many seconds.
    Retrying {
        /// Seconds until then.
        seconds: u64,
    },
    /// A push looks at it.
    Preparing,
    /// Bytes leave.
    Pushing {
        /// Bytes sent.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The registry has taken it.
    Pushed,
    /// The registry had it before.
    LayerAlreadyExists,
    /// The layer is left to the URLs that its manifest gives.
    SkippedForeignLayer,
    /// The registry took it from another repository of its own.
    MountedFrom {
        /// That repository's path.
        repository: String,
    },
}

impl LayerState {
    /// Returns `(current, total)` of a counter.
    fn counter(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Downloading { current, total }
            | Self::Extracting { current, total }
            | Self::Loading { current, total }
            | Self::Pushing { current, total } => Some((current, total)),
            _ => None,
        }
    }
}

/// The end that an operation reports to. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<Arc<Sender>>);

/// The part that all clones of a [`Progress`] share; its end is the end of the reports.
#[derive(Debug)]
struct Sender(Arc<Queue>);

/// The end at which reports are read. When it is dropped, reports go nowhere.
#[derive(Debug)]
pub struct ProgressReceiver(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<ProgressEvent>,
    last_counter: HashMap<String, Instant>,
    senders_gone: bool,
    receiver_gone: bool,
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Progress {
    /// Makes a connected pair. The receiver ends when every clone of the sender is gone.
    pub fn channel() -> (Self, ProgressReceiver) {
        let queue = Arc::new(Queue::default());
        (Self(Some(Arc::new(Sender(Arc::clone(&queue))))), ProgressReceiver(queue))
    }

    /// Makes a sender whose reports go nowhere.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Reports an event.
    pub fn report(&self, event: ProgressEvent) {
        if let Some(sender) = &self.0 {
            let queue = &sender.0;
            let mut state = queue.lock();
            if !state.receiver_gone && state.push(event, Instant::now()) {
                queue.ready.notify_one();
            }
        }
    }

    /// Reports what happened to a layer.
    pub fn layer(&self, id: &str, state: LayerState) {
        self.report(ProgressEvent::Layer { id: id.to_owned(), state });
    }

    /// Reports what is known of a layer.
    pub fn facts(&self, id: &str, facts: LayerFacts) {
        self.report(ProgressEvent::Facts { id: id.to_owned(), facts });
    }
}

impl State {
    /// Queues the event unless it is a counter that comes too soon; returns whether it did.
    fn push(&mut self, event: ProgressEvent, now: Instant) -> bool {
        if let ProgressEvent::Layer { id, state } = &event
            && let Some((current, total)) = state.counter()
        {
            let recent = self
                .last_counter
                .get(id)
                .is_some_and(|last| now.duration_since(*last) < COUNTER_INTERVAL);
            if recent && current < total {
                return false;
            }
            self.last_counter.insert(id.clone(), now);
            // Only the layer's newest event may be replaced, or the order of its states would change.
            let newest = self.events.iter_mut().rev().find(
                |queued| matches!(queued, ProgressEvent::Layer { id: other, .. } if other == id),
            );
            if let Some(ProgressEvent::Layer { state: queued, .. }) = newest
                && std::mem::discriminant(queued) == std::mem::discriminant(state)
            {
                queued.clone_from(state);
                return false;
            }
        }
        if let ProgressEvent::Importing { current, total } = event {
            // Without a total any may be the last, and none is worth more than the others.
            let ended = total == Some(current);
            let last = self.last_counter.get("");
            if !ended && last.is_some_and(|last| now.duration_since(*last) < COUNTER_INTERVAL) {
                return false;
            }
            self.last_counter.insert(String::new(), now);
            if let Some(queued @ ProgressEvent::Importing { .. }) = self.events.back_mut() {
                *queued = event;
                return false;
            }
        }
        self.events.push_back(event);
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().senders_gone = true;
        self.0.ready.notify_one();
    }
}

impl ProgressReceiver {
    /// Waits for the next event; `None` when all senders are gone and all events are read. Cancel-safe.
    pub async fn recv(&mut self) -> Option<ProgressEvent> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(event) = state.events.pop_front() {
                    return Some(event);
                }
                if state.senders_gone {
                    return None;
                }
            }
            self.0.ready.notified().await;
        }
    }
}

impl Drop for ProgressReceiver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receiver_gone = true;
        state.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn downloading(current: u64) -> ProgressEvent {
        ProgressEvent::Layer {
            id: "a".into(),
            state: LayerState::Downloading { current, total: 10 },
        }
    }

    #[tokio::test]
    async fn ends_when_the_last_sender_is_gone() {
        let (progress, mut receiver) = Progress::channel();
        let clone = progress.clone();
        drop(progress);
        clone.report(ProgressEvent::DownloadingFrom("x".into()));
        drop(clone);
        assert_eq!(receiver.recv().await, Some(ProgressEvent::DownloadingFrom("x".into())));
        assert_eq!(receiver.recv().await, None);
    }

    #[test]
    fn thins_downloads_out_too() {
        let importing = |current, total| ProgressEvent::Importing { current, total };
        let mut state = State::default();
        let start = Instant::now();
        assert!(state.push(importing(1, None), start));
        assert!(!state.push(importing(2, None), start), "too soon");
        assert!(!state.push(importing(3, None), start + COUNTER_INTERVAL), "replaces the unread");
        assert_eq!(state.events, [importing(3, None)]);
        state.events.clear();
        assert!(state.push(importing(9, Some(9)), start + COUNTER_INTERVAL), "the last passes");
    }

    #[test]
    fn thins_counters_out_and_keeps_the_last() {
        let mut state = State::default();
        let start = Instant::now();
        let later = |n: u32| start + COUNTER_INTERVAL * n;
        assert!(state.push(downloading(1), start));
        assert!(!state.push(downloading(2), start), "too soon");
        assert!(!state.push(downloading(3), later(1)), "replaces the unread one");
        assert_eq!(state.events, [downloading(3)]);
        state.events.clear();
        assert!(state.push(downloading(10), later(1)), "the last always passes");
        let done = ProgressEvent::Layer { id: "a".into(), state: LayerState::Downloaded };
        assert!(state.push(done.clone(), later(1)));
        assert!(state.push(downloading(5), later(3)), "does not overtake a state");
        assert_eq!(state.events, [downloading(10), done, downloading(5)]);
    }
}
