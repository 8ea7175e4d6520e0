//! The comparison of files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use archive::{ContentHash, FileKind, LayerFile};
use spec::ChainId;
use store::Image;

use super::layers::{FilePath, Layers};
use super::state::{Placed, State};
use super::{Aspect, Change, Sum, Totals};
use crate::Result;

/// A path with what was there, what is, and the layer that changed it.
struct Pair {
    path: FilePath,
    before: Option<Placed>,
    after: Option<Placed>,
    layer: Option<usize>,
}

/// Returns how many layers two images share, from the bottom.
pub(super) fn shared(one: &[ChainId], other: &[ChainId]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Compares two images.
pub(super) fn images(layers: &mut Layers<'_>, from: &Image, to: &Image) -> Result<Vec<Change>> {
    let shared = shared(&from.layers, &to.layers);
    let mut before = State::default();
    for place in 0..shared {
        let (number, files) = layers.files(from, place)?;
        before.apply(number, place, &files);
    }
    let mut after = before.clone();
    for place in shared..from.layers.len() {
        let (number, files) = layers.files(from, place)?;
        before.apply(number, place, &files);
    }
    let mut removed_by: HashMap<FilePath, usize> = HashMap::new();
    for place in shared..to.layers.len() {
        let (number, files) = layers.files(to, place)?;
        for (path, (_, now)) in after.apply(number, place, &files) {
            match now {
                Some(_) => removed_by.remove(&path),
                None => removed_by.insert(path, place),
            };
        }
    }
    let mut pairs = Vec::new();
    let State(mut after) = after;
    for (path, before) in before.0 {
        let after = after.remove(&path);
        if after.as_ref().is_some_and(|after| Arc::ptr_eq(&before.file, &after.file)) {
            continue;
        }
        let layer = match &after {
            Some(after) => Some(after.layer),
            None => removed_by.get(&path).copied(),
        };
        pairs.push(Pair { path, before: Some(before), after, layer });
    }
    pairs.extend(after.into_iter().map(|(path, after)| {
        let layer = Some(after.layer);
        Pair { path, before: None, after: Some(after), layer }
    }));
    pairs.sort_by(|one, other| one.path.cmp(&other.path));
    changes(layers, pairs)
}

/// Compares each layer of an image with those below it.
pub(super) fn steps(layers: &mut Layers<'_>, image: &Image) -> Result<Vec<Change>> {
    let mut state = State::default();
    let mut pairs = Vec::new();
    for place in 0..image.layers.len() {
        let (number, files) = layers.files(image, place)?;
        for (path, (before, after)) in state.apply(number, place, &files) {
            if before.is_some() || after.is_some() {
                pairs.push(Pair { path, before, after, layer: Some(place) });
            }
        }
    }
    changes(layers, pairs)
}

/// Finds out what differs in each pair, and leaves out those in which nothing does.
fn changes(layers: &mut Layers<'_>, pairs: Vec<Pair>) -> Result<Vec<Change>> {
    let mut wanted: BTreeMap<usize, BTreeMap<FilePath, u64>> = BTreeMap::new();
    for pair in &pairs {
        let (Some(before), Some(after)) = (&pair.before, &pair.after) else { continue };
        let is_file = |placed: &Placed| matches!(placed.file.kind, FileKind::File { .. });
        let size = before.file.size();
        if is_file(before) && is_file(after) && size == after.file.size() && size > 0 {
            for placed in [before, after] {
                wanted.entry(placed.number).or_default().insert(Arc::clone(&pair.path), size);
            }
        }
    }
    let mut hashes: HashMap<(usize, FilePath), ContentHash> = HashMap::new();
    for (number, paths) in wanted {
        let found = layers.hashes(number, &paths)?;
        hashes.extend(found.into_iter().map(|(path, hash)| ((number, path), hash)));
    }
    let mut changes = Vec::with_capacity(pairs.len());
    for Pair { path, before, after, layer } in pairs {
        let aspects = match (&before, &after) {
            (Some(before), Some(after)) => {
                let hash = |placed: &Placed| hashes.get(&(placed.number, Arc::clone(&path)));
                let aspects = aspects(&before.file, &after.file, hash(before) == hash(after));
                if aspects.is_empty() {
                    continue;
                }
                aspects
            }
            _ => Vec::new(),
        };
        let file = |placed: Option<Placed>| placed.map(|placed| placed.file);
        changes.push(Change { path, before: file(before), after: file(after), aspects, layer });
    }
    Ok(changes)
}

/// Compares what is said of two files. Files of one size have the same content if `is_same`.
fn aspects(before: &LayerFile, after: &LayerFile, is_same: bool) -> Vec<Aspect> {
    use FileKind::{Block, Character, Directory, Fifo, File, Symlink, Whiteout};
    let mut aspects = Vec::new();
    match (&before.kind, &after.kind) {
        (File { size, .. }, File { size: other, .. }) if size == other && is_same => {}
        (File { .. }, File { .. }) => aspects.push(Aspect::Content),
        (Symlink(one), Symlink(other)) if one == other => {}
        (Symlink(_), Symlink(_)) => aspects.push(Aspect::Target),
        (Character(..), Character(..)) | (Block(..), Block(..)) => {
            if before.kind != after.kind {
                aspects.push(Aspect::Target);
            }
        }
        (Directory { .. }, Directory { .. }) | (Fifo, Fifo) | (Whiteout, Whiteout) => {}
        _ => aspects.push(Aspect::Kind),
    }
    let facts = [
        (differs(before.mode.as_ref(), after.mode.as_ref()), Aspect::Mode),
        (differs(before.owner.as_ref(), after.owner.as_ref()), Aspect::Owner),
        (differs(before.modified.as_ref(), after.modified.as_ref()), Aspect::Modified),
        (before.xattrs != after.xattrs, Aspect::Attributes),
    ];
    aspects.extend(facts.into_iter().filter_map(|(differs, aspect)| differs.then_some(aspect)));
    aspects
}

/// Says whether two facts differ. What a layer does not say is no difference.
fn differs<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// Sums of changes that are being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) totals: Totals,
    /// Files whose bytes were counted, as what was there and as what is: they may have several names.
    counted: [HashSet<*const LayerFile>; 2],
}

impl Comparison {
    pub(super) fn count(&mut self, change: &Change) {
        let before = bytes(&mut self.counted[0], change.before.as_ref());
        let after = bytes(&mut self.counted[1], change.after.as_ref());
        let sum: &mut Sum = match (&change.before, &change.after) {
            (None, _) => &mut self.totals.added,
            (_, None) => &mut self.totals.removed,
            _ => &mut self.totals.changed,
        };
        sum.files += 1;
        sum.bytes = sum.bytes.saturating_add(match (&change.before, &change.after) {
            (Some(_), None) => before,
            _ => after.saturating_sub(before),
        });
    }
}

/// Returns the bytes of a file that was not counted before.
fn bytes(counted: &mut HashSet<*const LayerFile>, file: Option<&Arc<LayerFile>>) -> i64 {
    let file = file.filter(|file| counted.insert(Arc::as_ptr(file)));
    file.map_or(0, |file| i64::try_from(file.size()).unwrap_or(i64::MAX))
}
