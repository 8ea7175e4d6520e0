//! The line of the log at the end of a pull or a push.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use engine::{LayerFacts, LayerState, ProgressEvent};
use spec::Digest;

use crate::errors::HttpError;

/// A pull or a push, as it is told once it is over.
#[derive(Debug)]
pub(crate) struct Journal {
    verb: &'static str,
    image: String,
    registry: String,
    begun: Instant,
    digests: Vec<Digest>,
    layers: HashMap<String, LayerFacts>,
}

impl Journal {
    /// Begins one for an image of a registry.
    pub(crate) fn new(verb: &'static str, image: String, registry: &str) -> Self {
        let registry = registry.to_owned();
        let (digests, layers) = (Vec::new(), HashMap::new());
        Self { verb, image, registry, begun: Instant::now(), digests, layers }
    }

    /// Takes in what is known of the operation.
    pub(crate) fn note(&mut self, event: &ProgressEvent) {
        match event {
            ProgressEvent::PullDone { digest } | ProgressEvent::Pushed { digest, .. } => {
                self.digests.push(digest.clone());
            }
            ProgressEvent::Facts { id, facts } => {
                self.layers.entry(id.clone()).or_default().learn(facts);
            }
            // Nothing of it moved.
            ProgressEvent::Layer { id, state } if is_left_alone(state) => {
                self.layers.remove(id);
            }
            _ => {}
        }
    }

    /// The bytes that were moved, and the hosts that they came from or went to.
    fn moved(&self) -> (u64, String) {
        let moved = |facts: &LayerFacts| {
            facts.size.unwrap_or_default().saturating_sub(facts.present.unwrap_or_default())
        };
        let bytes = self.layers.values().map(moved).fold(0, u64::saturating_add);
        let of_layers = self.layers.values().filter(|facts| moved(facts) > 0);
        let mut hosts: BTreeSet<&str> =
            of_layers.filter_map(|facts| facts.host.as_deref()).collect();
        if hosts.is_empty() {
            hosts.insert(&self.registry);
        }
        (bytes, hosts.into_iter().collect::<Vec<_>>().join(" "))
    }

    /// Writes the line of one that nobody waits for any more. How much of its bytes came is not known.
    pub(crate) fn write_cancelled(&self) {
        let ((_, host), took) = (self.moved(), self.took());
        let (verb, image) = (self.verb, &self.image);
        tracing::info!(image, ?took, host, "{verb} cancelled");
    }

    fn took(&self) -> Duration {
        Duration::from_millis(self.begun.elapsed().as_millis().try_into().unwrap_or(0))
    }

    /// Writes the line.
    pub(crate) fn write(&self, ended: Result<(), &HttpError>) {
        let took = self.took();
        let (bytes, host) = self.moved();
        let (verb, image) = (self.verb, &self.image);
        match ended {
            Ok(()) => {
                let digest = self.digests.last().map(ToString::to_string).unwrap_or_default();
                let images = self.digests.len();
                tracing::info!(image, digest, images, bytes, ?took, host, "{verb} done");
            }
            Err(error) => {
                let error = &error.message;
                tracing::warn!(image, bytes, ?took, host, error, "{verb} failed");
            }
        }
    }
}

fn is_left_alone(state: &LayerState) -> bool {
    matches!(
        state,
        LayerState::AlreadyExists
            | LayerState::LayerAlreadyExists
            | LayerState::SkippedForeignLayer
            | LayerState::MountedFrom { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_counted_and_what_was_there_is_not() {
        let mut journal = Journal::new("pull", "r.example/x:1".to_owned(), "r.example");
        assert_eq!(journal.moved(), (0, "r.example".to_owned()));
        let facts = |size, present, host: Option<&str>| LayerFacts {
            size,
            present,
            host: host.map(str::to_owned),
        };
        for (id, facts) in [
            ("a", facts(Some(100), Some(0), None)),
            ("a", facts(None, None, Some("m.example"))),
            ("b", facts(Some(50), Some(20), Some("r.example"))),
            ("c", facts(Some(7), Some(7), Some("elsewhere"))),
            ("d", facts(Some(9), Some(0), None)),
        ] {
            journal.note(&ProgressEvent::Facts { id: id.to_owned(), facts });
        }
        let state = LayerState::MountedFrom { repository: "y".to_owned() };
        journal.note(&ProgressEvent::Layer { id: "d".to_owned(), state });
        assert_eq!(journal.moved(), (130, "m.example r.example".to_owned()));
    }
}
