//! `rmi`: takes names from images, and images that have none left from the store.

use std::path::PathBuf;

use spec::{Descriptor, Digest, ImageId, Platform, Reference};
use store::{Store, StoreError};

use crate::error::Mistake;
use crate::push::referrers_of;
use crate::{Engine, EngineError, Result, resolve};

/// Ways to remove.
#[derive(Clone, Debug)]
pub struct RemoveOptions {
    /// Also if the image has several names.
    pub force: bool,
    /// Also the image's parents, if nothing else needs them.
    pub prune_children: bool,
    /// Only what is for these platforms: parts that are kept beside the image, or the image itself.
    pub platforms: Vec<Platform>,
}

/// Something that a removal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone, familiar.
    Untagged(String),
    /// An image (by its ID) or a layer (by its chain ID) is gone.
    Deleted(String),
}

impl Engine {
    /// Removes the name `name`, and the image with its layers when it was the last one; or the image with the ID `name`.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        let engine = self.clone();
        let name = name.to_owned();
        self.on_disk(move |_| engine.remove_now(&name, options)).await
    }

    /// Does what [`Engine::remove`] does, on a thread that may block.
    pub(crate) fn remove_now(&self, name: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        let mut removal = Removal { engine: self, options, records: Vec::new(), taken: Vec::new() };
        match removal.run(name) {
            Ok(()) => Ok(removal.records),
            Err(error @ EngineError::Store(_)) => {
                removal.give_back();
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

/// A removal under way, by the rules of dockerd's `ImageDelete`.
struct Removal<'a> {
    engine: &'a Engine,
    options: RemoveOptions,
    records: Vec<Removed>,
    /// The names taken so far, to be given back should the removal fail.
    taken: Vec<(Reference, ImageId)>,
}

impl Removal<'_> {
    fn store(&self) -> &Store {
        self.engine.store()
    }

    fn run(&mut self, name: &str) -> Result<()> {
        let references = self.store().references()?;
        let found = resolve::find(self.store(), &references, name)?;
        let id = found.id;
        if self.parts(&id, name)? {
            return Ok(());
        }
        // A name that is also the beginning of the image's ID means the ID.
        let is_id = id.digest().hex().starts_with(name) || id.to_string().starts_with(name);
        let Some(reference) = found.reference.filter(|_| !is_id) else {
            let names = references.of_image(&id).to_vec();
            if is_single(&names) {
                self.check_hard(&id)?;
                if !self.options.force {
                    self.check_stopped(&id)?;
                }
                self.untag(&id, &names)?;
            }
            return self.delete(&id, false);
        };
        let named = reference.clone().by_digest();
        if is_single(references.of_image(&id)) && mounted_at(self.store(), &id)?.is_some() {
            self.check_hard(&id)?;
        }
        if !self.options.force
            && is_single(references.of_image(&id))
            && let Some(container) = self.container(&id, |_| true)?
        {
            return Err(EngineError::ReferenceInUse {
                reference: name.to_owned(),
                container,
                id: id.digest().short(),
            });
        }
        self.untag(&id, std::slice::from_ref(&named))?;
        let mut left = self.names(&id)?;
        if named.digest().is_none() {
            let same = |other: &Reference| other.repository() == named.repository();
            if !left.iter().any(|other| same(other) && other.digest().is_none()) {
                // The digests of a repository have no use without a tag of it.
                let (digests, others): (Vec<_>, Vec<_>) = left.into_iter().partition(same);
                self.forget(&id, &digests)?;
                left = others;
            }
        }
        if left.is_empty() { self.delete(&id, true) } else { Ok(()) }
    }

    /// Removes the parts of an image that are for the platforms which are asked for; says whether that is all that is to be removed.
    /// The image itself goes with all its parts, and so not while others stay that are asked for by nobody.
    fn parts(&mut self, id: &ImageId, name: &str) -> Result<bool> {
        let wanted = &self.options.platforms;
        if wanted.is_empty() {
            return Ok(false);
        }
        let parts = self.store().parts_of(id)?;
        if parts.is_empty() && wanted.len() > 1 {
            return Err(EngineError::InvalidParameter(Mistake::SeveralPlatforms));
        }
        let is_for = |part: &Descriptor, wanted: &Platform| {
            part.platform.as_ref().is_some_and(|offered| wanted.is_exactly(offered))
        };
        let own = self.store().image(id)?.map(|image| image.config.value().platform());
        let (mut chosen, mut itself) = (Vec::new(), false);
        for platform in wanted {
            let before = chosen.len();
            let of_platform = parts.iter().filter(|part| is_for(part, platform));
            chosen.extend(of_platform.map(|part| part.digest.clone()));
            // Of several for one platform the image that has the name is meant, as it is by every other verb.
            let is_own = own.as_ref().is_some_and(|own| platform.is_exactly(own));
            if is_own || chosen.len() == before {
                resolve::check_platform(self.store(), id, name, Some(platform))?;
                itself = true;
            }
        }
        // What attests an image goes with it.
        let attested = parts.iter().filter(|part| {
            let of = part.annotations.get(spec::REFERENCE_DIGEST_ANNOTATION);
            of.is_some_and(|of| chosen.iter().any(|digest| digest.to_string() == *of))
        });
        let attested: Vec<Digest> = attested.map(|part| part.digest.clone()).collect();
        if itself {
            let is_other = |part: &Descriptor| {
                !chosen.contains(&part.digest)
                    && part.platform.as_ref().is_some_and(|platform| platform.os != "unknown")
            };
            return if parts.iter().any(is_other) {
                Err(in_use(id, true, "images for other platforms are kept beside it"))
            } else {
                Ok(false)
            };
        }
        chosen.extend(attested);
        // So does what refers to it.
        let mut referring = Vec::new();
        for digest in &chosen {
            referring.extend(referrers_of(self.store(), id, digest)?);
        }
        referring.retain(|digest| !chosen.contains(digest));
        chosen.extend(referring);
        self.store().remove_parts(id, &chosen)?;
        self.records.extend(chosen.iter().map(|digest| Removed::Deleted(digest.to_string())));
        Ok(true)
    }

    fn names(&self, id: &ImageId) -> Result<Vec<Reference>> {
        Ok(self.store().references()?.of_image(id).to_vec())
    }

    /// Takes names from an image and tells the watchers of each.
    fn untag(&mut self, id: &ImageId, names: &[Reference]) -> Result<()> {
        self.forget(id, names)?;
        for _ in names {
            self.engine.image_event("untag", id, &id.to_string());
        }
        Ok(())
    }

    fn forget(&mut self, id: &ImageId, names: &[Reference]) -> Result<()> {
        let taken = self.store().remove_references(|references| {
            // Somebody may have moved a name to another image meanwhile.
            let ours = names.iter().filter(|name| references.get(name).as_ref() == Some(id));
            let ours: Vec<_> = ours.cloned().collect();
            for name in &ours {
                references.remove(name);
            }
            Ok(ours)
        })?;
        self.records.extend(names.iter().map(|name| Removed::Untagged(name.familiar())));
        self.taken.extend(taken.into_iter().map(|name| (name, id.clone())));
        Ok(())
    }

    /// Names again what could not be removed: a failure must not lose an image.
    fn give_back(&self) {
        let given = self.store().remove_references(|references| {
            for (name, id) in &self.taken {
                if references.get(name).is_none() {
                    references.set(name, id)?;
                }
            }
            Ok(())
        });
        if let Err(error) = given {
            tracing::warn!(%error, "the names of an image that could not be removed are lost");
        }
    }

    /// Deletes an image. `quiet`: it is only being tidied up, so that a reason against it is no error.
    fn delete(&mut self, id: &ImageId, quiet: bool) -> Result<()> {
        let names = self.names(id)?;
        let free = self.check_hard(id).and_then(|()| {
            if self.options.force {
                return Ok(());
            }
            if !names.is_empty() {
                let reason = "image is referenced in multiple repositories";
                return Err(in_use(id, false, reason));
            }
            self.check_stopped(id)
        });
        if let Err(error) = free {
            return if quiet { Ok(()) } else { Err(error) };
        }
        let parent = self.store().parent(id)?;
        self.untag(id, &names)?;
        let removed = match self.store().remove_image(id) {
            Ok(removed) => removed,
            // Another process gave it a name, or removed it, a moment ago.
            Err(StoreError::Referenced { .. } | StoreError::NoImage(_)) if quiet => return Ok(()),
            Err(StoreError::Referenced { .. }) => {
                return Err(in_use(id, false, "image is referenced in multiple repositories"));
            }
            Err(error) => return Err(error.into()),
        };
        self.taken.clear();
        self.engine.image_event("delete", id, &id.to_string());
        self.records.push(Removed::Deleted(id.to_string()));
        self.records
            .extend(removed.layers.iter().map(|chain_id| Removed::Deleted(chain_id.to_string())));
        match parent {
            Some(parent) if self.options.prune_children => {
                self.options.force = false;
                self.delete_parent(&parent)
            }
            _ => Ok(()),
        }
    }

    fn delete_parent(&mut self, id: &ImageId) -> Result<()> {
        let unused = self.names(id)?.is_empty()
            && self.check_hard(id).is_ok()
            && self.check_stopped(id).is_ok();
        if unused && self.store().image(id)?.is_some() { self.delete(id, true) } else { Ok(()) }
    }

    /// Fails for what not even `force` helps against.
    fn check_hard(&self, id: &ImageId) -> Result<()> {
        if !self.store().children(id)?.is_empty() {
            return Err(in_use(id, true, "image has dependent child images"));
        }
        if let Some(directory) = mounted_at(self.store(), id)? {
            let reason = format!("image is mounted on {}", directory.display());
            return Err(in_use(id, true, &reason));
        }
        match self.container(id, |running| running)? {
            Some(container) => {
                let reason = format!("image is being used by running container {container}");
                Err(in_use(id, true, &reason))
            }
            None => Ok(()),
        }
    }

    fn check_stopped(&self, id: &ImageId) -> Result<()> {
        match self.container(id, |running| !running)? {
            Some(container) => {
                let reason = format!("image is being used by stopped container {container}");
                Err(in_use(id, false, &reason))
            }
            None => Ok(()),
        }
    }

    /// Returns the short ID of a container of dockerd's that uses the image.
    fn container(&self, id: &ImageId, wanted: impl Fn(bool) -> bool) -> Result<Option<String>> {
        let containers = self.store().containers()?;
        let found = containers
            .into_iter()
            .find(|container| container.image == *id && wanted(container.running));
        Ok(found.map(|container| container.id.chars().take(12).collect()))
    }
}

/// Says where an image is mounted, if it is.
fn mounted_at(store: &Store, id: &ImageId) -> Result<Option<PathBuf>> {
    let mounts = store.mounts()?;
    Ok(mounts.into_iter().find(|mount| mount.image == *id).map(|mount| mount.directory))
}

fn in_use(id: &ImageId, hard: bool, reason: &str) -> EngineError {
    EngineError::ImageInUse { id: id.digest().short(), hard, reason: reason.to_owned() }
}

/// Says whether an image is named by one repository only, with one tag at the most.
fn is_single(names: &[Reference]) -> bool {
    let Some(first) = names.first() else { return false };
    names.iter().filter(|name| name.digest().is_none()).count() <= 1
        && names.iter().all(|name| name.repository() == first.repository())
}

#[cfg(test)]
mod tests;
