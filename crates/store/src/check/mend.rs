//! Doing something about what was found.

use std::fs;
use std::path::PathBuf;

use spec::{ChainId, ImageConfig, ImageId, MAX_CONFIG_SIZE};

use crate::collect::journal::{self, Entry, Item};
use crate::collect::trash::Trash;
use crate::driver::Driver;
use crate::driver::overlay2::{Stack, link_target, new_link};
use crate::lock::Transaction;
use crate::paths::is_cache_id;
use crate::{LayerRecord, StagedLayer, Store, StoreError, VerifiedBlob, files};

use super::{Finding, Fix, own};

impl Store {
    /// Does what can be done about a finding with what is here; says whether that was anything.
    ///
    /// Looks again before it removes something, as the world may have changed since.
    pub fn mend(&self, finding: &Finding) -> Result<bool, StoreError> {
        match &finding.fix {
            Fix::Config(id) => {
                let Some(copy) = self.read_blob(id.digest(), MAX_CONFIG_SIZE)? else {
                    return Ok(false);
                };
                self.replace_config(id, &copy)?;
                return Ok(true);
            }
            Fix::Copy(id) => {
                let Some(config) = files::read(&self.paths().config(id), MAX_CONFIG_SIZE)? else {
                    return Ok(false);
                };
                self.replace_blob(&VerifiedBlob::check(id.digest(), config.into())?)?;
                return Ok(true);
            }
            _ => {}
        }
        let mut trash = Trash::new(self);
        let transaction = self.removal()?;
        let mended = self.apply(&transaction, &finding.fix, &mut trash)?;
        drop(transaction);
        trash.empty();
        Ok(mended)
    }

    fn apply(
        &self,
        transaction: &Transaction,
        fix: &Fix,
        trash: &mut Trash,
    ) -> Result<bool, StoreError> {
        match fix {
            Fix::Reference(reference) => {
                self.change_references(transaction, |references| {
                    match references.get(reference) {
                        Some(id) if files::exists(&self.paths().config(&id))? => {}
                        _ => _ = references.remove(reference),
                    }
                    Ok(())
                })?;
            }
            Fix::Parent(id) => self.forget_parent(id)?,
            Fix::Metadata(id) => {
                if !files::exists(&self.paths().config(id))? {
                    trash.take(&self.paths().image_metadata(id))?;
                }
            }
            Fix::Link(chain) => self.mend_link(chain)?,
            Fix::Lower(chain) => self.mend_lower(chain)?,
            Fix::Work(chain) => {
                let directory = self.directory_of(chain)?;
                self.disk().make_dir(&directory.join("work"), 0o700)?;
                self.disk().sync_dir(&directory)?;
            }
            Fix::OrphanLayer(chain) => {
                let orphan = Entry::Pending(Item::Layer(chain.clone()));
                self.collect(transaction, &[orphan], None, trash)?;
            }
            Fix::OrphanDirectory(cache_id) => {
                if !self.is_of_layer(cache_id)? {
                    self.layer_driver().remove(cache_id, trash)?;
                }
            }
            Fix::StrayLink(name) => {
                let path = self.paths().overlay_links().join(name);
                // It may have been mended as a layer's.
                if !path.exists() {
                    self.disk().remove_file(&path)?;
                }
            }
            Fix::Manifest(digest) => {
                self.forget_manifest(transaction, digest)?;
                self.disk().remove_file(&self.paths().blob(digest))?;
            }
            Fix::StrayBlob(digest) => {
                let stray = Entry::Pending(Item::Blob(digest.clone()));
                self.collect(transaction, &[stray], None, trash)?;
            }
            // A directory that was none is one, now that a transaction runs.
            Fix::Own(path) => {
                if own::is_damaged(self, path)? {
                    trash.take(path)?;
                }
            }
            Fix::Index => self.restore_index(transaction)?,
            Fix::Nothing | Fix::Want(_) | Fix::Config(_) | Fix::Copy(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Says whether some layer, or one that is being published, has this directory.
    fn is_of_layer(&self, cache_id: &str) -> Result<bool, StoreError> {
        for chain in self.layer_parents()?.keys() {
            let entry = self.paths().layer(chain);
            if files::read_text(&entry.join("cache-id"))?.as_deref() == Some(cache_id) {
                return Ok(true);
            }
        }
        for id in journal::list(self)?.0 {
            let entries = journal::entries(&self.paths().leases().join(id))?;
            let is_its =
                |entry: &Entry| matches!(entry, Entry::PendingLayer(_, id) if id == cache_id);
            if entries.iter().any(is_its) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn directory_of(&self, chain: &ChainId) -> Result<PathBuf, StoreError> {
        let layer = self.layer(chain)?.ok_or_else(|| StoreError::NoLayer(chain.clone()))?;
        Ok(self.paths().overlay_layer(&layer.cache_id))
    }

    /// Gives a layer its short name back: the one that its `link` says, else one that leads to it, else a new one. Lists that had
    /// another one are made anew.
    fn mend_link(&self, chain: &ChainId) -> Result<(), StoreError> {
        let directory = self.directory_of(chain)?;
        let links = self.paths().overlay_links();
        let Some(cache_id) = directory.file_name().map(|name| name.to_string_lossy().into_owned())
        else {
            return Ok(());
        };
        let target = link_target(&cache_id);
        let link = match Stack::link_of(&directory) {
            Ok(link) => link,
            Err(StoreError::Damaged { .. }) => {
                let leading = files::names(&links)?
                    .into_iter()
                    .find(|name| fs::read_link(links.join(name)).is_ok_and(|to| to == target));
                let link = leading.map_or_else(new_link, Ok)?;
                let path = directory.join("link");
                self.disk().replace(&self.paths().staging(), &path, link.as_bytes(), 0o644)?;
                self.disk().sync_dir(&directory)?;
                link
            }
            Err(error) => return Err(error),
        };
        let path = links.join(&link);
        if !fs::read_link(&path).is_ok_and(|to| to == target) {
            self.disk().remove_file(&path)?;
            self.disk().symlink(&target, &path)?;
            self.disk().sync_dir(&links)?;
        }
        for (above, parent) in self.layer_parents()? {
            if parent.as_ref() == Some(chain) {
                self.mend_lower(&above)?;
            }
        }
        Ok(())
    }

    /// Lists the layers below one anew, and below those above it.
    fn mend_lower(&self, chain: &ChainId) -> Result<(), StoreError> {
        let parents = self.layer_parents()?;
        let mut changed = vec![chain.clone()];
        while let Some(chain) = changed.pop() {
            let directory = self.directory_of(&chain)?;
            let path = directory.join("lower");
            match parents.get(&chain).cloned().flatten() {
                Some(parent) => {
                    let lower = match Stack::of(&self.directory_of(&parent)?) {
                        Ok(stack) => stack.lower()?,
                        // Its parent is mended by itself, and then what stands on it.
                        Err(StoreError::Damaged { .. }) => continue,
                        Err(error) => return Err(error),
                    };
                    self.disk().replace(&self.paths().staging(), &path, lower.as_bytes(), 0o644)?;
                }
                None => _ = self.disk().remove_file(&path)?,
            }
            self.disk().sync_dir(&directory)?;
            let above = parents.iter().filter(|(_, parent)| parent.as_ref() == Some(&chain));
            changed.extend(above.map(|(above, _)| above.clone()));
        }
        Ok(())
    }

    /// Puts content in the place of a layer's that is damaged or gone. `staged` was unpacked, with its tar-split, and its diff ID
    /// compared with `record`.
    ///
    /// Only the files are exchanged: the layer keeps its directory's name, by which containers and other layers know it. Fails
    /// for a layer that has no entry to be put right: such a one is published as a new one.
    pub fn replace_layer(
        &self,
        chain: &ChainId,
        staged: &StagedLayer,
        record: &LayerRecord,
    ) -> Result<(), StoreError> {
        let Driver::Overlay2(overlay) = self.layer_driver() else { return Ok(()) };
        staged.durability().sync()?;
        let mut trash = Trash::new(self);
        let transaction = self.transaction()?;
        let entry = self.paths().layer(chain);
        let cache_id = files::read_text(&entry.join("cache-id"))?.filter(|id| is_cache_id(id));
        let cache_id = cache_id
            .ok_or_else(|| StoreError::damaged(entry.join("cache-id"), "it names no directory"))?;
        let directory = self.paths().overlay_layer(&cache_id);
        self.disk().make_dir(&directory, 0o710)?;
        if self.layer_parents()?.values().flatten().any(|parent| parent == chain) {
            overlay.mark_committed(&directory)?;
        }
        let diff = directory.join("diff");
        trash.take(&diff)?;
        self.disk().rename(staged.path(), &diff)?;
        self.disk().sync_dir(&directory)?;
        // It may be new.
        self.disk().sync_dir(&self.paths().overlay())?;
        let split = staged.entry().join("tar-split.json.gz");
        self.disk().rename(&split, &entry.join("tar-split.json.gz"))?;
        let write = |name: &str, text: String| {
            self.disk().replace(&self.paths().staging(), &entry.join(name), text.as_bytes(), 0o644)
        };
        write("diff", record.diff_id.to_string())?;
        write("size", record.size.to_string())?;
        match &record.parent {
            Some(parent) => write("parent", parent.to_string())?,
            None => _ = self.disk().remove_file(&entry.join("parent"))?,
        }
        self.disk().sync_dir(&entry)?;
        self.known_layers().forget(chain);
        if Stack::link_of(&directory).is_err() {
            self.mend_link(chain)?;
        }
        drop(transaction);
        trash.empty();
        Ok(())
    }

    /// Puts the config of an image in the place of one that is damaged. Fails if `bytes` do not hash to the image's ID.
    pub fn replace_config(&self, id: &ImageId, bytes: &[u8]) -> Result<(), StoreError> {
        if !id.digest().matches(bytes) {
            let path = self.paths().config(id);
            return Err(StoreError::damaged(path, "the new content does not match its name"));
        }
        ImageConfig::parse(bytes).map_err(StoreError::Config)?;
        let _transaction = self.transaction()?;
        self.disk().replace(&self.paths().staging(), &self.paths().config(id), bytes, 0o600)?;
        self.disk().sync_dir(&self.paths().configs())
    }
}
