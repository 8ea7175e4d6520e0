//! Choice of the manifests that go into an archive, of those that an image came with.

use std::collections::HashSet;

use spec::{Digest, ImageId, Platform};
use store::{Image, Lease, Store};

use crate::error::Missing;
use crate::kept::{Kept, Listed, Tree};
use crate::{EngineError, Platforms, Result};

/// Parts of an image that are saved.
#[derive(Debug)]
pub(super) enum Choice {
    /// The image alone.
    Own {
        /// All else that is here of its index and cannot be saved with it, by the names that users know.
        without: Vec<String>,
    },
    /// Another one of its index alone, which the indexes that are here lead to.
    Part(Tree, Listed),
    /// The index, with those of its manifests that were chosen.
    Whole {
        /// The index, and the manifests that were chosen.
        tree: Tree,
        /// The one of them that a reader who knows no indexes takes.
        main: Listed,
    },
}

impl Choice {
    /// Chooses what of an image that is called `name` is saved, and holds it. Blocking.
    pub(super) fn of(
        store: &Store,
        lease: &Lease,
        image: &Image,
        (name, wanted): (&str, &Platforms),
    ) -> Result<Self> {
        let kept = Kept::of(store, image, store.manifests_of(&image.id)?)?;
        let own = image.config.value().platform();
        let choice = match wanted {
            Platforms::These(list) => match &*once(list) {
                [one] if one.is_exactly(&own) => Self::alone(),
                [one] => Self::part(kept, one)?,
                several => match index(kept) {
                    Some(tree) => these(tree, &image.id, several)?,
                    None => return Err(absent(several, |platform| platform.is_exactly(&own))),
                },
            },
            Platforms::Here => index(kept).map_or_else(Self::alone, |tree| here(tree, &image.id)),
            Platforms::All => match index(kept) {
                Some(tree) => all(tree, &image.id, name)?,
                None => Self::alone(),
            },
        };
        choice.hold(store, lease)?;
        Ok(choice)
    }

    fn alone() -> Self {
        Self::Own { without: Vec::new() }
    }

    fn part(kept: Kept, wanted: &Platform) -> Result<Self> {
        let fits = |listed: &&Listed| listed.is_complete() && listed.kept.kind.is_for(wanted);
        for tree in kept.trees {
            if let Some(listed) = tree.manifests.iter().find(fits).cloned() {
                return Ok(Self::Part(tree, listed));
            }
        }
        Err(EngineError::NoExportTarget(wanted.clone()))
    }

    /// Makes sure that all of it stays, and is here.
    fn hold(&self, store: &Store, lease: &Lease) -> Result<()> {
        let (tree, manifests) = match self {
            Self::Own { .. } => return Ok(()),
            Self::Part(tree, listed) => (tree, std::slice::from_ref(listed)),
            Self::Whole { tree, .. } => (tree, &*tree.manifests),
        };
        for blob in tree.indexes.iter().chain(manifests.iter().flat_map(Listed::content)) {
            lease.hold_blob(&blob.digest)?;
            if store.blob(&blob.digest)?.is_none() {
                return Err(EngineError::Missing(Missing::BlobGone(blob.digest.clone())));
            }
        }
        Ok(())
    }
}

/// Of the indexes that an image came with the one of which most is here; of several the one that came last.
fn index(kept: Kept) -> Option<Tree> {
    let indexes = kept.trees.into_iter().filter(|tree| !tree.indexes.is_empty());
    indexes.max_by_key(|tree| tree.manifests.iter().filter(|listed| listed.is_complete()).count())
}

/// Takes what is here. The image alone is not saved as an index, nor is one whose blobs are not kept: its manifest is another one then.
fn here(mut tree: Tree, id: &ImageId) -> Choice {
    tree.manifests.retain(Listed::is_complete);
    match tree.manifests.iter().find(|listed| listed.is_of(id)).cloned() {
        Some(main) if tree.manifests.len() > 1 || tree.has_empty_index => {
            Choice::Whole { tree, main }
        }
        Some(_) => Choice::alone(),
        None => Choice::Own { without: tree.manifests.iter().map(Listed::name).collect() },
    }
}

fn all(tree: Tree, id: &ImageId, name: &str) -> Result<Choice> {
    let lacking = tree.manifests.iter().filter(|listed| !listed.is_complete());
    let lacking: Vec<String> = lacking.map(Listed::name).collect();
    if !lacking.is_empty() {
        let missing = Missing::Parts { name: name.to_owned(), parts: lacking.join(", ") };
        return Err(EngineError::Missing(missing));
    }
    Ok(here(tree, id))
}

/// Takes what is for some platforms, and what is said of it.
fn these(mut tree: Tree, id: &ImageId, wanted: &[Platform]) -> Result<Choice> {
    let complete = tree.manifests.iter().filter(|listed| listed.is_complete());
    let complete: Vec<&Listed> = complete.collect();
    let has = |platform: &Platform| complete.iter().any(|listed| listed.kept.kind.is_for(platform));
    if !wanted.iter().all(has) {
        return Err(absent(wanted, has));
    }
    let is_wanted =
        |listed: &Listed| wanted.iter().any(|platform| listed.kept.kind.is_for(platform));
    let images = complete.iter().filter(|listed| is_wanted(listed));
    let digests: HashSet<Digest> =
        images.map(|listed| listed.kept.descriptor.digest.clone()).collect();
    tree.manifests.retain(|listed| {
        let digest = &listed.kept.descriptor.digest;
        listed.is_complete()
            && (digests.contains(digest)
                || digests.iter().any(|image| listed.kept.kind.attests(image)))
    });
    // The image that has the name, or the first that was asked for.
    let own = tree.manifests.iter().find(|listed| listed.is_of(id));
    let of = |platform: &Platform| {
        tree.manifests.iter().find(|listed| listed.kept.kind.is_for(platform))
    };
    let main = own.or_else(|| wanted.iter().find_map(of)).cloned();
    match main {
        Some(main) => Ok(Choice::Whole { tree, main }),
        None => Err(absent(wanted, |_| false)),
    }
}

/// Tells the first platform that is not here.
fn absent(wanted: &[Platform], has: impl Fn(&Platform) -> bool) -> EngineError {
    let lacking = wanted.iter().find(|platform| !has(platform));
    EngineError::NoExportTarget(lacking.or(wanted.first()).cloned().unwrap_or_default())
}

/// Drops what is there twice.
fn once(platforms: &[Platform]) -> Vec<Platform> {
    let mut seen = HashSet::new();
    let new = platforms.iter().filter(|platform| seen.insert((*platform).clone().normalized()));
    new.cloned().collect()
}
