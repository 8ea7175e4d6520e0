//! The images that a save is about, and their names.

use spec::{ImageId, Reference, ReferenceError};
use store::{Lease, PrefixMatch, References, Store};

use crate::{EngineError, Result, resolve};

/// An image that is to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) id: ImageId,
    /// The tags that are saved with it.
    pub(super) tags: Vec<Reference>,
    /// The references by digest that it was asked for by.
    pub(super) digests: Vec<Reference>,
}

impl Selected {
    /// Returns what the image is called in messages.
    pub(super) fn name(&self) -> String {
        let name = self.tags.first().or(self.digests.first());
        name.map_or_else(|| self.id.to_string(), Reference::familiar)
    }
}

/// Finds the images that `names` mean, in their order, as dockerd does: a name without a tag means all tags of the
/// repository. What is found is held by the lease.
pub(super) fn select(store: &Store, lease: &Lease, names: &[String]) -> Result<Vec<Selected>> {
    let references = store.references()?;
    let mut selection = Vec::new();
    for name in names {
        for (id, reference) in find(store, &references, name)? {
            add(&mut selection, id, reference);
        }
    }
    for selected in &selection {
        lease.hold_image(&selected.id)?;
        if store.image(&selected.id)?.is_none() {
            return Err(EngineError::NoSuchImage(selected.id.to_string()));
        }
    }
    for selected in &selection {
        store.note_use(&selected.id);
    }
    Ok(selection)
}

fn find(
    store: &Store,
    references: &References,
    name: &str,
) -> Result<Vec<(ImageId, Option<Reference>)>> {
    let reference = match Reference::parse_familiar(name) {
        Ok(reference) => reference,
        // 64 hex digits are no name, but an ID.
        Err(ReferenceError::LooksLikeId(_)) => return Ok(vec![(search(store, name)?, None)]),
        Err(error) => {
            return match name.parse() {
                Ok(id) => Ok(vec![(id, None)]),
                Err(_) => Err(error.into()),
            };
        }
    };
    if reference.repository().familiar() == "sha256" {
        return Ok(vec![(search(store, name)?, None)]);
    }
    if !reference.is_name_only() {
        let id = references.get(&reference).ok_or(EngineError::NoReference)?;
        return Ok(vec![(id, Some(reference))]);
    }
    let all = references.by_name(reference.repository());
    if all.is_empty() {
        return Ok(vec![(search(store, name)?, None)]);
    }
    Ok(all.into_iter().map(|(reference, id)| (id, Some(reference))).collect())
}

fn add(selection: &mut Vec<Selected>, id: ImageId, reference: Option<Reference>) {
    let known = selection.iter().position(|selected| selected.id == id);
    let index = known.unwrap_or_else(|| {
        selection.push(Selected { id, tags: Vec::new(), digests: Vec::new() });
        selection.len() - 1
    });
    let Some(reference) = reference else { return };
    let selected = &mut selection[index];
    let (list, reference) = match reference.digest() {
        // As dockerd: the tag beside a digest plays no part.
        Some(_) => (&mut selected.digests, reference.by_digest()),
        None => (&mut selected.tags, reference),
    };
    if !list.contains(&reference) {
        list.push(reference);
    }
}

/// Finds an image by its ID or the beginning of one.
fn search(store: &Store, name: &str) -> Result<ImageId> {
    match resolve::by_prefix(store, name)? {
        PrefixMatch::One(id) => Ok(id),
        PrefixMatch::None => Err(EngineError::NoSuchImage(name.to_owned())),
        PrefixMatch::Ambiguous => Err(EngineError::AmbiguousId),
    }
}

#[cfg(test)]
mod tests;
