//! Entries of the layer database.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use spec::{ChainId, DiffId};

use crate::collect::journal::Item;
use crate::driver::{Driver, packed};
use crate::paths::is_cache_id;
use crate::{StoreError, files};

use super::{Check, Fix, Subject, Want};

/// An entry of the layer database, as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) diff_id: Option<DiffId>,
    pub(super) parent: Option<ChainId>,
    pub(super) size: Option<u64>,
    pub(super) cache_id: Option<String>,
    /// Set if all that is looked at without depth is right.
    pub(super) is_whole: bool,
}

impl Check<'_> {
    pub(super) fn layers(&mut self) -> Result<(), StoreError> {
        for name in files::names(&self.store.paths().layers())? {
            // dockerd's entries on the way out have other names.
            let Ok(chain) = format!("sha256:{name}").parse::<ChainId>() else { continue };
            self.report.layers += 1;
            let found = self.entry(&chain)?;
            self.layers.insert(chain, found);
        }
        self.missing_parents();
        self.missing_layers();
        self.orphans()
    }

    /// Reads one entry and what it names.
    fn entry(&mut self, chain: &ChainId) -> Result<Found, StoreError> {
        let entry = self.store.paths().layer(chain);
        let mut problems = Vec::new();
        let mut found = Found {
            diff_id: parsed(&entry, "diff", &mut problems)?,
            size: parsed(&entry, "size", &mut problems)?,
            ..Found::default()
        };
        if files::exists(&entry.join("parent"))? {
            found.parent = parsed(&entry, "parent", &mut problems)?;
        }
        if let Some(diff_id) = &found.diff_id
            && ChainId::extend(found.parent.as_ref(), diff_id) != *chain
        {
            problems.push("its `diff` and `parent` do not make its name".to_owned());
        }
        let cache_id: Option<String> = parsed(&entry, "cache-id", &mut problems)?;
        if cache_id.as_ref().is_some_and(|id| !is_cache_id(id)) {
            problems.push("its `cache-id` names no directory".to_owned());
        }
        found.cache_id = cache_id.filter(|id| is_cache_id(id));
        match self.store.layer_driver() {
            Driver::Overlay2(_) => {
                if !files::exists(&entry.join("tar-split.json.gz"))? {
                    problems.push("its `tar-split.json.gz` is gone".to_owned());
                }
                if let Some(cache_id) = &found.cache_id {
                    let directory = self.store.paths().overlay_layer(cache_id).join("diff");
                    if !files::exists(&directory)? {
                        problems.push(format!("its directory overlay2/{cache_id}/diff is gone"));
                    }
                }
            }
            Driver::Packed(_) => match packed::blob(&entry) {
                Ok(blob) if self.store.blob(&blob)?.is_some() => {
                    self.report.kept.insert(blob.clone());
                    self.report.packed.insert(blob, chain.clone());
                }
                Ok(blob) => problems.push(format!("its blob {blob} is gone")),
                Err(_) => problems.push("its `longshore-blob` names no blob".to_owned()),
            },
        }
        found.is_whole = problems.is_empty();
        for problem in problems {
            self.found_in_layer(chain, problem, Fix::Want(Want::Layer(chain.clone())));
        }
        Ok(found)
    }

    fn missing_parents(&mut self) {
        let missing: Vec<(ChainId, ChainId)> = self
            .layers
            .iter()
            .filter_map(|(chain, found)| Some((chain.clone(), found.parent.clone()?)))
            .filter(|(_, parent)| !self.layers.contains_key(parent))
            .collect();
        for (chain, parent) in missing {
            let problem = format!("the layer {parent} that it stands on is gone");
            self.found_in_layer(&chain, problem, Fix::Want(Want::Layer(parent)));
        }
    }

    fn missing_layers(&mut self) {
        let mut missing = BTreeMap::new();
        for (id, layers) in &self.images {
            for chain in layers.iter().filter(|chain| !self.layers.contains_key(chain)) {
                missing.entry(chain.clone()).or_insert_with(|| id.clone());
            }
        }
        for (chain, id) in missing {
            let problem = format!("its layer {chain} is gone");
            self.found(Subject::Image(id), problem, Fix::Want(Want::Layer(chain)));
        }
    }

    /// Layers that nothing uses. Not looked for where an image cannot be read: it may use them.
    fn orphans(&mut self) -> Result<(), StoreError> {
        if self.blind {
            return Ok(());
        }
        let mut used: HashSet<ChainId> = self.images.values().flatten().cloned().collect();
        match self.store.mounted_layers() {
            Ok(mounted) => used.extend(mounted),
            // A mount that may need anything.
            Err(StoreError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        used.extend(self.held.iter().filter_map(|item| match item {
            Item::Layer(chain) => Some(chain.clone()),
            _ => None,
        }));
        let is_kept = |chain: &ChainId| {
            used.contains(chain) || self.build_cache.mentions(&chain.digest().hex())
        };
        // What is used stands on what is below it.
        let mut standing = BTreeSet::new();
        for chain in self.layers.keys().filter(|chain| is_kept(chain)) {
            let mut below = Some(chain);
            while let Some(chain) = below.filter(|chain| standing.insert((*chain).clone())) {
                below = self.layers.get(chain).and_then(|found| found.parent.as_ref());
            }
        }
        let orphans: Vec<ChainId> =
            self.layers.keys().filter(|chain| !standing.contains(chain)).cloned().collect();
        for chain in orphans {
            // Its own damages do not matter any more.
            let subject = Subject::Layer(chain.clone());
            self.report.findings.retain(|finding| finding.subject != subject);
            if let Some(found) = self.layers.get_mut(&chain) {
                found.is_whole = false;
            }
            self.found(subject, "nothing uses it", Fix::OrphanLayer(chain));
        }
        Ok(())
    }
}

/// Reads a file of an entry that must be there.
fn parsed<T: std::str::FromStr>(
    entry: &Path,
    name: &str,
    problems: &mut Vec<String>,
) -> Result<Option<T>, StoreError> {
    let text = match files::read_text(&entry.join(name)) {
        Ok(text) => text,
        Err(StoreError::Damaged { .. } | StoreError::TooLarge { .. }) => Some(String::new()),
        Err(error) => return Err(error),
    };
    let Some(text) = text else {
        problems.push(format!("its `{name}` is gone"));
        return Ok(None);
    };
    let value = text.parse().ok();
    if value.is_none() {
        problems.push(format!("its `{name}` makes no sense"));
    }
    Ok(value)
}
