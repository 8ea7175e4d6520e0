//! Totals over all layers: what of an operation is done, what is left, and what of it was there before.
//!
//! Daemons of others tell no sizes of layers before they move: then there is no sum to divide by, and no time is told.

use std::collections::HashMap;
use std::time::Duration;

use api::message::{Aux, LayerFacts, Message, ProgressDetail, Units};
use serde::Serialize;

use super::phase::Phase;
use super::rate::Rate;

/// The totals of an operation, over all layers that were told of.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    layers: HashMap<String, Layer>,
    rate: Rate,
}

/// State of a layer, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Layer {
    phase: Option<Phase>,
    /// The last counts of bytes on their way.
    moving: Option<(u64, u64)>,
    size: Option<u64>,
    present: u64,
    host: Option<String>,
}

/// Bytes that are to be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Bytes {
    /// Those that were.
    pub(super) done: u64,
    /// All, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
}

/// A number of layers and of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    pub(super) layers: usize,
    pub(super) bytes: u64,
}

/// Totals of an operation at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sums {
    pub(super) moved: Count,
    /// Layers that were there before.
    pub(super) present: Count,
    /// Layers that a registry took from another repository of its own.
    pub(super) mounted: Count,
}

impl Tally {
    /// Takes a line of a progress stream in.
    pub(crate) fn note(&mut self, message: &Message, now: Duration) {
        if let Some(Aux::Layer { facts }) = &message.aux {
            self.layers.entry(facts.layer.clone()).or_default().learn(facts);
        } else if let Some((id, phase)) = about_layer(message) {
            let detail = message.progress_detail.unwrap_or_default();
            self.layers.entry(id.to_owned()).or_default().note(phase, detail);
        } else {
            return;
        }
        self.rate.note(now, self.bytes().done);
    }

    /// Says whether nothing was told of a layer.
    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    pub(super) fn layer(&self, id: &str) -> Option<&Layer> {
        self.layers.get(id)
    }

    /// Returns how many layers there are, and how many of them are done.
    pub(super) fn layers(&self) -> (usize, usize) {
        let layers = || self.layers.iter().filter(|(id, _)| !id.is_empty());
        (layers().filter(|(_, layer)| layer.is_over()).count(), layers().count())
    }

    /// Returns the bytes that are to be moved, and those that were.
    pub(super) fn bytes(&self) -> Bytes {
        let mut sum = Bytes { done: 0, total: Some(0) };
        for layer in self.layers.values() {
            let Bytes { done, total } = layer.to_move();
            sum.done = sum.done.saturating_add(done);
            sum.total = sum.total.zip(total).map(|(sum, one)| sum.saturating_add(one));
        }
        sum
    }

    /// Returns bytes per second.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        self.rate.per_second(now, self.bytes().done)
    }

    /// Adds up what was moved; all that had to be is by now.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (id, layer) in &self.layers {
            let size = layer.size().unwrap_or_default();
            let layers = usize::from(!id.is_empty());
            let all = Count { layers, bytes: size };
            match layer.phase {
                Some(Phase::Mounted) => sums.mounted.add(all),
                Some(Phase::Skipped | Phase::Sending) => {}
                _ if layer.is_present() => sums.present.add(all),
                _ => {
                    let present = layer.present.min(size);
                    sums.moved.add(Count { layers, bytes: size - present });
                    // Of what an earlier attempt had brought the layer is no other one.
                    sums.present.add(Count { layers: 0, bytes: present });
                }
            }
        }
        sums
    }
}

impl Count {
    fn add(&mut self, other: Count) {
        self.layers += other.layers;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Layer {
    fn learn(&mut self, facts: &LayerFacts) {
        // What was moved is there for whoever wants it after that: another tag, another image.
        if self.phase.is_some_and(Phase::is_over) {
            return;
        }
        self.size = facts.size.or(self.size);
        self.present = facts.present.unwrap_or(self.present);
        if facts.host.is_some() {
            self.host.clone_from(&facts.host);
        }
    }

    fn note(&mut self, phase: Phase, detail: ProgressDetail) {
        if self.phase.is_some_and(Phase::is_over) {
            return;
        }
        let is_bytes = detail.units.is_none();
        if phase.moves() && is_bytes && (detail.current, detail.total) != (0, 0) {
            self.moving = Some((detail.current, detail.total));
        }
        // Nothing else tells the end of these.
        let all = matches!(phase, Phase::Loading | Phase::Saving)
            && detail.total > 0
            && detail.current >= detail.total;
        self.phase = Some(if all { Phase::Done } else { phase });
    }

    fn is_over(&self) -> bool {
        self.phase.is_some_and(Phase::is_over) || self.phase.is_none() && self.is_present()
    }

    /// Says whether nothing of it had to be moved.
    fn is_present(&self) -> bool {
        self.phase == Some(Phase::Present)
            || self.size.is_some_and(|size| size > 0 && self.present >= size)
    }

    /// Returns the bytes of the blob, if they are known.
    fn size(&self) -> Option<u64> {
        let counted = self.moving.map(|(current, total)| current.max(total));
        self.size.or(counted).or(self.phase.is_some_and(Phase::is_over).then_some(0))
    }

    /// Returns what of it is to be moved.
    fn to_move(&self) -> Bytes {
        if self.is_present()
            || matches!(self.phase, Some(Phase::Mounted | Phase::Skipped | Phase::Sending))
        {
            return Bytes { done: 0, total: Some(0) };
        }
        let size = match self.moving {
            // A stream whose end nobody knows.
            Some((_, 0)) if !self.phase.is_some_and(Phase::has_arrived) => self.size,
            _ => self.size(),
        };
        let arrived = self.phase.is_some_and(Phase::has_arrived);
        let current = self.moving.map_or(0, |(current, _)| current);
        let current = if arrived { size.unwrap_or(current) } else { current };
        let done = current.saturating_sub(self.present);
        let total = size.map(|size| size.saturating_sub(self.present).max(done));
        Bytes { done, total }
    }

    /// Returns how far the work is that a line tells of: by its own counts, else all or nothing of the blob.
    pub(super) fn counts(&self, phase: Phase, detail: Option<ProgressDetail>) -> Bytes {
        let detail = detail.filter(|detail| detail.units.is_none()).unwrap_or_default();
        if (detail.current, detail.total) != (0, 0) {
            let total = (detail.total > 0).then_some(detail.total);
            return Bytes { done: detail.current, total };
        }
        let total = self.size();
        let done = if phase.has_arrived() { total.unwrap_or_default() } else { 0 };
        Bytes { done, total }
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

/// Returns the layer that a line is about, and its phase. What is counted without a name is the one thing there is.
pub(super) fn about_layer(message: &Message) -> Option<(&str, Phase)> {
    let detail = message.progress_detail?;
    if message.aux.is_some() || detail.units == Some(Units::Seconds) {
        return None;
    }
    let phase = Phase::of(message.status.as_deref()?);
    let id = message.id.as_deref().unwrap_or_default();
    (phase != Phase::Other).then_some((id, phase))
}
