//! The files that an archive lacks of its images, found out before anything of it is taken.
//!
//! A layer that is here need not be in the archive: so it is with dockerd, and a save for somebody who has an image counts on it.

use std::collections::{BTreeSet, HashMap};

use spec::{ChainId, Digest, ImageConfig, MAX_CONFIG_SIZE, Reference};
use store::Store;

use super::contents::Contents;
use super::list::Listed;
use crate::error::{BadArchive, LeftOutLayers};
use crate::save::documents::named_digest;
use crate::save::left_out::{BaseImage, LEFT_OUT, LeftOut, MAX_LEFT_OUT};
use crate::{EngineError, Platforms, Result};

/// The layers that are told of; the rest is counted.
const MAX_TOLD: usize = 10;
/// The names that are told of an image.
const MAX_NAMES: usize = 4;

/// Fails if a file of one of these images is neither in the archive nor here. Blocking.
pub(super) fn check(
    store: &Store,
    contents: &Contents,
    images: &[Listed],
    platforms: &Platforms,
) -> Result<()> {
    let mut known: HashMap<ChainId, bool> = HashMap::new();
    let mut lacking: BTreeSet<&str> = BTreeSet::new();
    let mut first = None;
    for listed in images {
        let file = contents.tree.require(&listed.config)?;
        // Whoever loads it refuses too many layers. Where the archive has all of them, none can be lacking, and what is here of them is
        // read once, by whoever loads them.
        if store.check_depth(listed.layers.len()).is_err()
            || listed.layers.iter().all(|path| contents.tree.find(path).is_some())
        {
            continue;
        }
        // What is wrong with a config, or not wanted, is found out by whoever loads it.
        let Ok(bytes) = file.read(&listed.config, MAX_CONFIG_SIZE) else { continue };
        let Ok(config) = ImageConfig::parse(&bytes) else { continue };
        let diff_ids = &config.rootfs.diff_ids;
        let digest = Digest::sha256(&bytes);
        if contents.wanted_of(&digest, &config, platforms).is_none()
            || listed.layers.len() != diff_ids.len()
        {
            continue;
        }
        let mut is_here = true;
        for (chain, path) in ChainId::chain(diff_ids).into_iter().zip(&listed.layers) {
            if is_here {
                is_here = if let Some(known) = known.get(&chain) {
                    *known
                } else {
                    let whole = store.whole_layer(&chain)?.is_some();
                    known.insert(chain, whole);
                    whole
                };
            }
            if !is_here && contents.tree.find(path).is_none() {
                first.get_or_insert(path);
                lacking.insert(path);
            }
        }
    }
    let Some(first) = first else { return Ok(()) };
    // What cannot be opened is named in any case: the document is advice, and may be as damaged as the archive.
    let opened = contents.tree.require(first).map(drop);
    let Err(EngineError::BadArchive(missing)) = opened else { return opened };
    Err(EngineError::BadArchive(match left_out(contents) {
        Ok(None) => missing,
        Ok(Some(left_out)) => match told(&lacking, &left_out) {
            Ok(layers) => BadArchive::LeftOut(layers),
            Err(lost) => return contents.tree.require(lost).map(drop),
        },
        Err(EngineError::BadArchive(reason)) => {
            BadArchive::Untold { missing: Box::new(missing), reason: Box::new(reason) }
        }
        Err(error) => return Err(error),
    }))
}

/// Reads what the archive says of what it leaves out, if it does.
fn left_out(contents: &Contents) -> Result<Option<LeftOut>> {
    let Some(file) = contents.tree.find(LEFT_OUT) else { return Ok(None) };
    let bytes = file.read(LEFT_OUT, MAX_LEFT_OUT)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| EngineError::BadArchive(BadArchive::List { file: LEFT_OUT, error }))
}

/// Says of layers that are lacking whose they are, or else which of them the archive does not leave out: that one it has lost.
fn told<'a>(
    lacking: &BTreeSet<&'a str>,
    left_out: &LeftOut,
) -> std::result::Result<LeftOutLayers, &'a str> {
    let mut told = LeftOutLayers { count: lacking.len(), ..LeftOutLayers::default() };
    for path in lacking {
        let file = left_out.files.get(*path);
        let image = file.and_then(|file| Some((file.size, left_out.since.get(file.of)?)));
        let (Some((size, image)), Some(digest)) = (image, named_digest(path)) else {
            return Err(path);
        };
        if told.layers.len() < MAX_TOLD {
            told.layers.push((digest, size, image.id.clone()));
            told.images.entry(image.id.clone()).or_insert_with(|| names(image));
        }
    }
    Ok(told)
}

/// Returns some names of an image, tags first. What is no name is passed over.
fn names(image: &BaseImage) -> Vec<Reference> {
    let names = image.names.iter().filter_map(|name| Reference::parse_familiar(name).ok());
    let (tags, digests): (Vec<_>, Vec<_>) = names.partition(|name| name.digest().is_none());
    tags.into_iter().chain(digests).take(MAX_NAMES).collect()
}

/// Reads any bytes as the document: it is refused, or can be told of, and is the same when it is written and read again.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(left_out) = serde_json::from_slice::<LeftOut>(data) else { return };
    let lacking: BTreeSet<&str> = left_out.files.keys().map(String::as_str).collect();
    if let Ok(layers) = told(&lacking, &left_out) {
        assert_eq!(layers.count, left_out.files.len());
        assert!(layers.layers.len() <= MAX_TOLD);
        assert!(layers.layers.iter().all(|(_, _, id)| layers.images.contains_key(id)));
        assert!(!layers.to_string().is_empty());
    }
    let write = |it: &LeftOut| serde_json::to_vec(it).unwrap_or_default();
    let written = write(&left_out);
    let read = serde_json::from_slice::<LeftOut>(&written);
    assert!(read.is_ok_and(|read| write(&read) == written));
}
