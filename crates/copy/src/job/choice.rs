//! The platforms of an image that are wanted: its manifest for one, an index that is cut for several.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize as _;
use serde_json::value::RawValue;
use spec::{
    Descriptor, Digest, ImageConfig, ImageManifest, Index, MAX_CONFIG_SIZE, Manifest, Platform,
};

use crate::document::Document;
use crate::error::Result;
use crate::feed::Feed;
use crate::progress::Event;
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, Report};

/// The depth to which indexes are gone through for a platform.
const MAX_DEPTH: usize = 4;
/// The mark of an attestation, and its digest of the manifest that it is about.
const SUBJECT_ANNOTATION: &str = "vnd.docker.reference.digest";

/// The root that is copied.
pub(super) struct Root {
    pub(super) document: Document,
    pub(super) manifest: Manifest,
    /// True if it is an index that was cut, and so has a digest of its own.
    pub(super) cut: bool,
}

/// Returns what is copied of an image if these platforms are wanted; all of it where none are named.
pub(super) async fn choose(
    shared: &Shared,
    source: &Source,
    mut document: Document,
    wanted: &[Platform],
) -> Result<Root> {
    let mut manifest = source.parse(&document)?;
    for _ in 0..MAX_DEPTH {
        let index = match &manifest {
            _ if wanted.is_empty() => break,
            Manifest::Image(image) => {
                check(shared, source, image, wanted).await?;
                break;
            }
            Manifest::Index(index) => index,
        };
        let chosen = entries(source, index, wanted)?;
        if wanted.len() > 1 {
            if index.manifests.iter().all(|entry| stays(entry, &chosen)) {
                break;
            }
            let bytes = cut(&document.bytes, index, &chosen);
            let bytes = bytes.map_err(|error| CopyError::Manifest {
                place: source.to_string(),
                digest: document.digest.clone(),
                source: error.into(),
            })?;
            let digest = Digest::sha256(&bytes);
            let document = Document { bytes: bytes.into(), digest, ..document };
            let manifest = source.parse(&document)?;
            return Ok(Root { document, manifest, cut: true });
        }
        let Some(entry) = chosen.first() else { break };
        document = shared.fetch(source, Some(&entry.digest)).await?;
        manifest = source.parse(&document)?;
    }
    Ok(Root { document, manifest, cut: false })
}

/// Returns the best entry for each platform.
fn entries<'i>(
    source: &Source,
    index: &'i Index,
    wanted: &[Platform],
) -> Result<Vec<&'i Descriptor>> {
    let mut chosen = Vec::new();
    for platform in wanted {
        let suits = |entry: &&Descriptor| {
            let offered = entry.platform.as_ref()?;
            platform.preference(offered)
        };
        let best = index.manifests.iter().filter(|entry| suits(entry).is_some());
        let Some(best) = best.min_by_key(suits) else {
            let mut offered: Vec<String> = index
                .manifests
                .iter()
                .filter_map(|entry| Some(entry.platform.as_ref()?.specifier()))
                .collect();
            offered.retain(|platform| !platform.starts_with("unknown/"));
            return Err(CopyError::NoPlatform {
                place: source.to_string(),
                wanted: platform.specifier(),
                offered: offered.join(", "),
            });
        };
        chosen.push(best);
    }
    Ok(chosen)
}

/// Says whether an entry is a chosen one, or attests to one.
fn stays(entry: &Descriptor, chosen: &[&Descriptor]) -> bool {
    let subject = entry.annotations.get(SUBJECT_ANNOTATION);
    chosen.iter().any(|one| {
        one.digest == entry.digest || subject.is_some_and(|of| *of == one.digest.to_string())
    })
}

/// Writes an index with the chosen entries and what attests to them. All else, and each entry, stays as it is.
fn cut(bytes: &[u8], index: &Index, chosen: &[&Descriptor]) -> Result<Vec<u8>, serde_json::Error> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes)?;
    for (name, value) in &mut fields {
        // As the index was read.
        if !name.eq_ignore_ascii_case("manifests") {
            continue;
        }
        let listed: Vec<Option<Box<RawValue>>> = Vec::deserialize(&**value)?;
        let kept: Vec<Box<RawValue>> = listed
            .into_iter()
            .flatten()
            .zip(&index.manifests)
            .filter_map(|(raw, entry)| stays(entry, chosen).then_some(raw))
            .collect();
        *value = serde_json::value::to_raw_value(&kept)?;
    }
    serde_json::to_vec(&fields)
}

/// Fails if an image that is no index is for none of the platforms.
async fn check(
    shared: &Shared,
    source: &Source,
    image: &ImageManifest,
    wanted: &[Platform],
) -> Result<()> {
    let config = &image.config;
    if config.size > MAX_CONFIG_SIZE {
        let (digest, size) = (config.digest.clone(), MAX_CONFIG_SIZE);
        return Err(CopyError::Size { place: source.to_string(), digest, size });
    }
    let _turn = shared.budget.turn(&[source.host()]).await;
    let mut feed = Feed::new(source, config, &(Arc::new(|_: &Event<'_>| {}) as Arc<Report>));
    let mut bytes = Vec::new();
    while let Some(piece) = feed.next(config.size).await? {
        bytes.extend_from_slice(&piece);
    }
    let offered = ImageConfig::parse(&Bytes::from(bytes)).map_err(|error| CopyError::Manifest {
        place: source.to_string(),
        digest: config.digest.clone(),
        source: error.into(),
    })?;
    let offered = offered.platform();
    match wanted.iter().find(|platform| platform.preference(&offered).is_none()) {
        None => Ok(()),
        Some(platform) => Err(CopyError::NoPlatform {
            place: source.to_string(),
            wanted: platform.specifier(),
            offered: offered.specifier(),
        }),
    }
}
