//! The directories of the driver `overlay2`: short names, lists of what is below, and what is nobody's.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use spec::ChainId;

use crate::driver::overlay2::{Stack, link_target};
use crate::{StoreError, files};

use super::{Check, Fix, Subject};

impl Check<'_> {
    pub(super) fn overlay(&mut self) -> Result<(), StoreError> {
        let mut known = self.pending.clone();
        let whole: Vec<(ChainId, String, Option<ChainId>)> = self
            .layers
            .iter()
            .filter_map(|(chain, found)| {
                Some((chain.clone(), found.cache_id.clone()?, found.parent.clone()))
            })
            .collect();
        let mut stacks = HashMap::new();
        for (chain, cache_id, _) in &whole {
            known.insert(cache_id.clone());
            if self.layers.get(chain).is_some_and(|found| found.is_whole) {
                self.link(chain, cache_id, &mut stacks)?;
            }
        }
        for (chain, cache_id, parent) in &whole {
            if self.layers.get(chain).is_some_and(|found| found.is_whole) {
                self.lower(chain, cache_id, parent.as_ref(), &stacks)?;
            }
        }
        self.containers(&mut known)?;
        self.stray_directories(&known)?;
        self.stray_links()
    }

    /// The short name of a layer: `link` and the symlink of that name must lead to each other.
    fn link<'c>(
        &mut self,
        chain: &'c ChainId,
        cache_id: &str,
        links: &mut HashMap<&'c ChainId, String>,
    ) -> Result<(), StoreError> {
        let paths = self.store.paths();
        let fix = Fix::Link(chain.clone());
        let link = match Stack::link_of(&paths.overlay_layer(cache_id)) {
            Ok(link) => link,
            Err(StoreError::Damaged { reason, .. }) => {
                let problem = format!("overlay2/{cache_id}/link: {reason}");
                self.found_in_layer(chain, problem, fix);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let target = link_target(cache_id);
        let problem = match fs::read_link(paths.overlay_links().join(&link)) {
            Ok(to) if to == target => None,
            Ok(to) => Some(format!("overlay2/l/{link} leads to {}", to.display())),
            Err(error) if files::is_missing(&error) => Some(format!("overlay2/l/{link} is gone")),
            Err(error) => Some(format!("overlay2/l/{link} is no link: {error}")),
        };
        if let Some(problem) = problem {
            self.found_in_layer(chain, problem, fix);
        }
        links.insert(chain, link);
        Ok(())
    }

    /// The list of the layers below one: it must be the links of its parents.
    fn lower(
        &mut self,
        chain: &ChainId,
        cache_id: &str,
        parent: Option<&ChainId>,
        links: &HashMap<&ChainId, String>,
    ) -> Result<(), StoreError> {
        let mut expected = Vec::new();
        let mut below = parent;
        while let Some(layer) = below {
            // Its link is a finding of its own, and makes this one's list anew when it is mended.
            let Some(link) = links.get(layer) else { return Ok(()) };
            expected.push(format!("l/{link}"));
            below = self.layers.get(layer).and_then(|found| found.parent.as_ref());
        }
        let directory = self.store.paths().overlay_layer(cache_id);
        let lower = match files::read_text(&directory.join("lower")) {
            Ok(lower) => lower,
            Err(StoreError::Damaged { .. } | StoreError::TooLarge { .. }) => Some("?".to_owned()),
            Err(error) => return Err(error),
        };
        let expected = (!expected.is_empty()).then(|| expected.join(":"));
        if lower != expected {
            let problem = match (&lower, &expected) {
                (None, _) => format!("overlay2/{cache_id}/lower is gone"),
                (Some(_), _) => {
                    format!("overlay2/{cache_id}/lower does not list the layers below it")
                }
            };
            self.found_in_layer(chain, problem, Fix::Lower(chain.clone()));
        }
        if parent.is_some() && !files::exists(&directory.join("work"))? {
            let problem = format!("overlay2/{cache_id}/work is gone");
            self.found_in_layer(chain, problem, Fix::Work(chain.clone()));
        }
        Ok(())
    }

    /// dockerd's containers: their directories are theirs, and what they stand on must be there.
    fn containers(&mut self, known: &mut HashSet<String>) -> Result<(), StoreError> {
        let mounts = self.store.paths().mounts();
        for container in files::names(&mounts)? {
            let mount = mounts.join(&container);
            for name in ["mount-id", "init-id"] {
                known.extend(files::read_text(&mount.join(name))?);
            }
            let parent = files::read_text(&mount.join("parent"))?.unwrap_or_default();
            let Ok(parent) = parent.parse::<ChainId>() else { continue };
            if !self.layers.contains_key(&parent) {
                let problem = format!("its layer {parent} is gone");
                self.found(Subject::Container(container), problem, Fix::Nothing);
            }
        }
        Ok(())
    }

    fn stray_directories(&mut self, known: &HashSet<String>) -> Result<(), StoreError> {
        for name in files::names(&self.store.paths().overlay())? {
            // dockerd marks what it is about to delete.
            if name == "l" || known.contains(&name) || self.build_cache.mentions(&name) {
                continue;
            }
            let is_ours = crate::paths::is_cache_id(&name);
            let fix = if is_ours { Fix::OrphanDirectory(name.clone()) } else { Fix::Nothing };
            self.found(Subject::Path(format!("overlay2/{name}")), "it is no layer's", fix);
        }
        Ok(())
    }

    fn stray_links(&mut self) -> Result<(), StoreError> {
        let links = self.store.paths().overlay_links();
        for name in files::names(&links)? {
            let leads = fs::read_link(links.join(&name))
                .ok()
                .is_some_and(|to| links.join(to).symlink_metadata().is_ok());
            if !leads {
                let subject = Subject::Path(format!("overlay2/l/{name}"));
                self.found(subject, "it leads to nothing", Fix::StrayLink(name));
            }
        }
        Ok(())
    }
}

/// The cache of dockerd's builder, as far as that can be told: the text of its database of snapshots.
#[derive(Debug, Default)]
pub(super) struct BuildCache(Vec<u8>);

/// Larger ones are not read but taken to mention everything.
const MAX_DATABASE: u64 = 512 << 20;

impl BuildCache {
    pub(super) fn read(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("buildkit/snapshots.db");
        let mut bytes = Vec::new();
        match fs::File::open(&path) {
            Ok(file) => {
                file.take(MAX_DATABASE)
                    .read_to_end(&mut bytes)
                    .map_err(|error| StoreError::io("read", &path, error))?;
                Ok(Self(bytes))
            }
            Err(error) if files::is_missing(&error) => Ok(Self::default()),
            Err(error) => Err(StoreError::io("open", path, error)),
        }
    }

    /// Says whether a layer's hash or a directory's name is in it.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let Self(bytes) = self;
        bytes.len() as u64 >= MAX_DATABASE
            || bytes.windows(name.len()).any(|window| window == name.as_bytes())
    }
}
