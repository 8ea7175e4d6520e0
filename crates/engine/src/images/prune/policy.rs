//! The images that a prune takes: a pure function of what there is and of what was asked for, for a dry run as for a real one.
//!
//! Each flag narrows what goes. An image that one of them protects stays, whatever the others say; and what is in use stays in any case.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spec::go::Glob;
use spec::{ImageId, Reference, Repository};
use store::{ImageUse, Ledger, Thing};

use crate::images::list::{has_label, matches_reference};

/// The choice of images that go.
#[derive(Clone, Debug, Default)]
pub struct PrunePolicy {
    /// Also images that have tags.
    pub all: bool,
    /// `key` or `key=value`, all of which an image must have.
    pub labels: Vec<String>,
    /// `key` or `key=value`; an image that has all of them stays.
    pub without_labels: Vec<String>,
    /// Images made after this moment stay.
    pub until: Option<Timestamp>,
    /// Names that match none of these patterns stay, and so do images without a name.
    pub references: Vec<Glob>,
    /// Of the tags of each repository, those of so many images stay that were used last. Only names that match count.
    pub keep_last: Option<NonZeroUsize>,
    /// Images that were used in this time stay.
    pub unused_for: Option<SignedDuration>,
    /// Images that were used last stay, as long as all that is there takes no more bytes than these.
    pub max_size: Option<u64>,
}

/// The plan of a prune.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The images that go, in this order.
    pub(super) steps: Vec<PruneStep>,
    /// Images that would go if they were not in use.
    pub(super) spared: Vec<SparedImage>,
    /// The partial downloads that go, if some may.
    pub(super) downloads: Option<Discard>,
    /// All that is freed of images.
    pub(super) frees: Freed,
}

/// Names that go, and mostly the image with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneStep {
    /// The image.
    pub id: ImageId,
    /// The names that it loses.
    pub names: Vec<Reference>,
    /// Set if the image goes: it has no other name, and nothing stands on it.
    pub is_whole: bool,
    /// The last use of the image.
    pub last_used: Timestamp,
    /// Bytes of the disk that are free when it and all steps before are gone.
    pub frees: u64,
    /// The reasons, all of which hold.
    pub reasons: Vec<PruneReason>,
}

/// A reason for which something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneReason {
    /// It has no tag.
    NoTag,
    /// Nobody uses it, and all such images were asked for.
    NotInUse,
    /// So many others of its repository were used later.
    NotAmongLast(usize),
    /// It was not used for as long as was asked for.
    Idle,
    /// It has a name that was asked for.
    Matches,
    /// All together takes more than this.
    OverSize(u64),
}

/// An image that stays because it is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparedImage {
    /// The image.
    pub id: ImageId,
    /// The names that it would have lost.
    pub names: Vec<Reference>,
    /// The use that keeps it.
    pub user: ImageUse,
}

/// Partial downloads that are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Discard {
    /// Those that were written later stay.
    pub(super) until: Option<Timestamp>,
    pub(super) bytes: u64,
}

/// Bytes of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    pub(super) layers: u64,
    pub(super) content: u64,
}

impl Freed {
    fn total(self) -> u64 {
        self.layers.saturating_add(self.content)
    }

    fn add(&mut self, other: Self) {
        self.layers = self.layers.saturating_add(other.layers);
        self.content = self.content.saturating_add(other.content);
    }
}

/// All that decides.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) now: Timestamp,
    pub(super) images: Vec<Candidate>,
    pub(super) ledger: Ledger,
    /// The dates and bytes of partial downloads that nobody works on.
    pub(super) downloads: Vec<(Timestamp, u64)>,
}

/// An image as a policy sees it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: ImageId,
    pub(super) names: Vec<Reference>,
    pub(super) created: Option<Timestamp>,
    pub(super) last_used: Timestamp,
    pub(super) labels: Option<Arc<BTreeMap<String, String>>>,
    /// The image that it was built on, if that is there.
    pub(super) parent: Option<ImageId>,
    pub(super) user: Option<ImageUse>,
}

impl Survey {
    /// Returns the bytes of all that is there.
    pub(super) fn total(&self) -> u64 {
        let downloads = self.downloads.iter().map(|(_, bytes)| bytes).sum();
        self.ledger.total().saturating_add(downloads)
    }
}

/// The part of an image that a policy wants.
struct Wanted {
    names: Vec<Reference>,
    is_whole: bool,
    reasons: Vec<PruneReason>,
}

/// Decides what goes.
pub(super) fn decide(policy: &PrunePolicy, survey: &Survey) -> Plan {
    let mut plan = Plan { downloads: policy.discard(survey), ..Plan::default() };
    let discarded = plan.downloads.map_or(0, |discard| discard.bytes);
    let mut left = survey.total().saturating_sub(discarded);
    let is_enough = |left| policy.max_size.is_some_and(|max| left <= max);
    let kept = policy.kept_names(survey);
    let mut taking = Taking::new(survey);
    let mut wanted: HashMap<usize, Wanted> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for (at, image) in survey.images.iter().enumerate() {
        let has_children = taking.children[at] > 0;
        let Some(wants) = policy.wants(survey, image, &kept, has_children) else { continue };
        // What others stand on waits for them; what is in use is only told in its turn.
        if !(wants.is_whole && has_children) || image.user.is_some() {
            ready.push(Reverse((policy.order(image), at)));
        }
        wanted.insert(at, wants);
    }
    while let Some(Reverse((_, at))) = ready.pop()
        && !is_enough(left)
    {
        let Some(wants) = wanted.remove(&at) else { continue };
        let image = &survey.images[at];
        if let Some(user) = image.user.clone() {
            plan.spared.push(SparedImage { id: image.id.clone(), names: wants.names, user });
            continue;
        }
        let mut freed = Freed::default();
        if wants.is_whole {
            let parent = taking.take(at, &mut freed);
            ready.extend(
                parent
                    .filter(|parent| wanted.contains_key(parent))
                    .map(|parent| Reverse((policy.order(&survey.images[parent]), parent))),
            );
        }
        left = left.saturating_sub(freed.total());
        plan.frees.add(freed);
        plan.steps.push(step(image, wants, freed));
    }
    if policy.max_size.is_none() {
        // What something stands on that stays only loses its names.
        let mut rest: Vec<_> = wanted.into_iter().filter(|(_, w)| !w.names.is_empty()).collect();
        rest.sort_by_key(|(at, _)| policy.order(&survey.images[*at]));
        plan.steps.extend(rest.into_iter().map(|(at, wants)| {
            let wants = Wanted { is_whole: false, ..wants };
            step(&survey.images[at], wants, Freed::default())
        }));
    }
    plan
}

fn step(image: &Candidate, wanted: Wanted, freed: Freed) -> PruneStep {
    let Wanted { names, is_whole, reasons } = wanted;
    let (id, last_used) = (image.id.clone(), image.last_used);
    PruneStep { id, names, is_whole, last_used, frees: freed.total(), reasons }
}

impl PrunePolicy {
    /// Says whether an image is of the age and has the labels that were asked for.
    pub(super) fn includes(
        &self,
        created: Option<Timestamp>,
        labels: Option<&BTreeMap<String, String>>,
    ) -> bool {
        let is_old = self.until.is_none_or(|until| created.is_some_and(|created| created <= until));
        let has = |wanted: &[String]| wanted.iter().all(|label| has_label(labels, label));
        is_old
            && has(&self.labels)
            && (self.without_labels.is_empty() || !has(&self.without_labels))
    }

    /// Returns the place of an image in the order in which they go: for a size the least recently used first, else the youngest.
    fn order<'a>(&self, image: &'a Candidate) -> (i128, i128, &'a ImageId) {
        let created = image.created.map(Timestamp::as_nanosecond);
        if self.max_size.is_some() {
            let created = created.unwrap_or(i128::MIN);
            return (image.last_used.as_nanosecond(), created, &image.id);
        }
        (created.map_or(i128::MAX, |created| -created), 0, &image.id)
    }

    fn is_meant(&self, name: &Reference) -> bool {
        let is_match = |pattern| matches_reference(pattern, name);
        self.references.is_empty() || self.references.iter().any(is_match)
    }

    /// Returns the tags that stay as those of the images of a repository that were used last.
    fn kept_names<'a>(&self, survey: &'a Survey) -> HashSet<&'a Reference> {
        let Some(count) = self.keep_last else { return HashSet::new() };
        let mut repositories: BTreeMap<&Repository, BTreeMap<_, Vec<&Reference>>> = BTreeMap::new();
        for image in &survey.images {
            let place = (Reverse(image.last_used), Reverse(image.created), &image.id);
            for name in tags(image).filter(|name| self.is_meant(name)) {
                let images = repositories.entry(name.repository()).or_default();
                images.entry(place).or_default().push(name);
            }
        }
        let last = |images: BTreeMap<_, Vec<_>>| images.into_values().take(count.get()).flatten();
        repositories.into_values().flat_map(last).collect()
    }

    /// Returns what is to go of an image; `None` if it stays as it is.
    fn wants(
        &self,
        survey: &Survey,
        image: &Candidate,
        kept: &HashSet<&Reference>,
        has_children: bool,
    ) -> Option<Wanted> {
        let is_dangling = tags(image).next().is_none();
        let unused = survey.now.duration_since(image.last_used);
        // A step on the way to another image goes with that one.
        if has_children && (!self.all || image.names.is_empty())
            || !self.all && !is_dangling
            || !self.includes(image.created, image.labels.as_deref())
            || self.unused_for.is_some_and(|time| unused < time)
            || image.names.is_empty() && !self.references.is_empty()
        {
            return None;
        }
        let goes = |tag: &Reference| self.is_meant(tag) && !kept.contains(tag);
        let names = image.names.iter().filter(|name| {
            if name.digest().is_none() {
                return goes(name);
            }
            // The digests of a repository have no use without a tag of it, and the others none without any.
            let of_repository = |tag: &&Reference| tag.repository() == name.repository();
            let mut own = tags(image).filter(of_repository).peekable();
            if own.peek().is_some() {
                return own.all(goes);
            }
            tags(image).all(goes) && self.is_meant(name)
        });
        let names: Vec<Reference> = names.cloned().collect();
        let is_whole = names.len() == image.names.len();
        // A name alone takes no room.
        if !is_whole && (names.is_empty() || self.max_size.is_some()) {
            return None;
        }
        Some(Wanted { names, is_whole, reasons: self.reasons(is_dangling) })
    }

    fn reasons(&self, is_dangling: bool) -> Vec<PruneReason> {
        let last = self.keep_last.filter(|_| !is_dangling);
        let mut reasons: Vec<PruneReason> = [
            is_dangling.then_some(PruneReason::NoTag),
            last.map(|count| PruneReason::NotAmongLast(count.get())),
            self.unused_for.map(|_| PruneReason::Idle),
            (!self.references.is_empty()).then_some(PruneReason::Matches),
            self.max_size.map(PruneReason::OverSize),
        ]
        .into_iter()
        .flatten()
        .collect();
        if reasons.is_empty() {
            reasons.push(PruneReason::NotInUse);
        }
        reasons
    }

    /// Returns which partial downloads go. They have neither names nor labels; for a size they go before any image.
    fn discard(&self, survey: &Survey) -> Option<Discard> {
        let is_enough = self.max_size.is_some_and(|max| survey.total() <= max);
        if is_enough || !self.labels.is_empty() || !self.references.is_empty() {
            return None;
        }
        let unused = self.unused_for.and_then(|time| survey.now.checked_sub(time).ok());
        let until = self.until.into_iter().chain(unused).min();
        let go = survey.downloads.iter().filter(|(at, _)| until.is_none_or(|until| *at <= until));
        Some(Discard { until, bytes: go.map(|(_, bytes)| bytes).sum() })
    }
}

fn tags(image: &Candidate) -> impl Iterator<Item = &Reference> {
    image.names.iter().filter(|name| name.digest().is_none())
}

/// Images that go one after the other, and what that frees.
struct Taking<'a> {
    survey: &'a Survey,
    places: HashMap<&'a ImageId, usize>,
    /// Number of images that stand on each.
    children: Vec<usize>,
    /// Number of users that each thing has left.
    users: HashMap<&'a Thing, usize>,
}

impl<'a> Taking<'a> {
    fn new(survey: &'a Survey) -> Self {
        let places: HashMap<&ImageId, usize> =
            survey.images.iter().enumerate().map(|(at, image)| (&image.id, at)).collect();
        let mut children = vec![0; survey.images.len()];
        for parent in survey.images.iter().filter_map(|image| image.parent.as_ref()) {
            if let Some(at) = places.get(parent) {
                children[*at] += 1;
            }
        }
        let mut users = HashMap::new();
        for thing in survey.ledger.of_images.values().flatten().chain(&survey.ledger.held) {
            *users.entry(thing).or_default() += 1;
        }
        Self { survey, places, children, users }
    }

    /// Takes an image away, and the steps on the way to it that nothing else needs. Returns the image that these stood on and that
    /// nothing stands on any more.
    fn take(&mut self, at: usize, freed: &mut Freed) -> Option<usize> {
        let mut at = at;
        loop {
            let image = &self.survey.images[at];
            self.release(&image.id, freed);
            let parent = *self.places.get(image.parent.as_ref()?)?;
            self.children[parent] -= 1;
            if self.children[parent] > 0 {
                return None;
            }
            let below = &self.survey.images[parent];
            if !below.names.is_empty() || below.user.is_some() {
                return Some(parent);
            }
            at = parent;
        }
    }

    fn release(&mut self, id: &ImageId, freed: &mut Freed) {
        for thing in self.survey.ledger.of_images.get(id).into_iter().flatten() {
            let Some(users) = self.users.get_mut(thing) else { continue };
            *users -= 1;
            if *users == 0 {
                let bytes = self.survey.ledger.size(thing);
                freed.add(match thing {
                    Thing::Layer(_) => Freed { layers: bytes, content: 0 },
                    Thing::Blob(_) => Freed { layers: 0, content: bytes },
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
