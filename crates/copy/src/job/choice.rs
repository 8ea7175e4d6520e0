//! The platforms of an image that are wanted: its manifest for one, an index that is cut for several.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize as _;
use serde_json::value::{RawValue, to_raw_value};
use spec::{
    Descriptor, Digest, ImageManifest, Index, MAX_CONFIG_SIZE, Manifest, Platform,
    REFERENCE_DIGEST_ANNOTATION, from_go_json,
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
/// The most indexes within an index that are read for their platforms.
const MAX_INDEXES: usize = 100;

/// The root that is copied.
pub(super) struct Root {
    pub(super) document: Document,
    pub(super) manifest: Manifest,
    /// True if it is an index that was cut, and so has a digest of its own.
    pub(super) cut: bool,
}

/// An entry of an index, as it was read and as it stands there.
struct Entry {
    descriptor: Descriptor,
    raw: Box<RawValue>,
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
        let entries = within(shared, source, &document, index, wanted).await?;
        let chosen = best(source, &entries, wanted)?;
        if wanted.len() > 1 {
            if entries.iter().all(|entry| stays(&entry.descriptor, &chosen)) {
                break;
            }
            let kept = entries.iter().filter(|entry| stays(&entry.descriptor, &chosen));
            let kept: Vec<&RawValue> = kept.map(|entry| &*entry.raw).collect();
            let bytes = cut(&document.bytes, &kept).map_err(failed(source, &document))?;
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

/// Lists the entries of an index. Where some platform is not among them, those of the indexes within it stand in their place.
async fn within(
    shared: &Shared,
    source: &Source,
    document: &Document,
    index: &Index,
    wanted: &[Platform],
) -> Result<Vec<Entry>> {
    let mut entries = read(document, index, None).map_err(failed(source, document))?;
    let mut indexes = 0;
    for _ in 0..MAX_DEPTH {
        let is_there = |platform: &Platform| {
            let mut images = entries.iter().filter(|entry| !entry.descriptor.media_type.is_index());
            images.any(|entry| suits(platform, &entry.descriptor).is_some())
        };
        if wanted.iter().all(is_there) {
            break;
        }
        let mut deeper = Vec::new();
        for entry in entries {
            let Descriptor { media_type, platform, digest, .. } = &entry.descriptor;
            let is_other = platform.is_some()
                && !wanted.iter().any(|wanted| suits(wanted, &entry.descriptor).is_some());
            if !media_type.is_index() || is_other {
                deeper.push(entry);
                continue;
            }
            indexes += 1;
            if indexes > MAX_INDEXES {
                let (place, limit) = (source.to_string(), MAX_INDEXES);
                return Err(CopyError::Documents { place, limit });
            }
            let document = shared.fetch(source, Some(digest)).await?;
            match source.parse(&document)? {
                Manifest::Index(index) => {
                    let inner = read(&document, &index, platform.as_ref());
                    deeper.extend(inner.map_err(failed(source, &document))?);
                }
                Manifest::Image(_) => deeper.push(entry),
            }
        }
        entries = deeper;
    }
    Ok(entries)
}

/// Reads the entries of an index that is itself for a platform, or for none.
fn read(
    document: &Document,
    index: &Index,
    platform: Option<&Platform>,
) -> Result<Vec<Entry>, serde_json::Error> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&document.bytes)?;
    let mut raw: Vec<Option<Box<RawValue>>> = Vec::new();
    // As the index was read.
    for (_, value) in fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("manifests")) {
        raw = Vec::deserialize(&**value)?;
    }
    let listed = raw.into_iter().flatten().zip(&index.manifests);
    listed
        .map(|(raw, descriptor)| {
            let mut descriptor = descriptor.clone();
            if descriptor.platform.is_some() || platform.is_none() {
                return Ok(Entry { descriptor, raw });
            }
            descriptor.platform = platform.cloned();
            Ok(Entry { raw: to_raw_value(&descriptor)?, descriptor })
        })
        .collect()
}

/// Says how well an entry suits a platform, less being better. Images of another architecture that would run there, too, are not
/// what is asked for.
fn suits(wanted: &Platform, entry: &Descriptor) -> Option<usize> {
    let offered = entry.platform.as_ref()?;
    let architecture = |platform: &Platform| platform.clone().normalized().architecture;
    wanted.preference(offered).filter(|_| architecture(wanted) == architecture(offered))
}

/// Returns the best entry for each platform.
fn best<'e>(
    source: &Source,
    entries: &'e [Entry],
    wanted: &[Platform],
) -> Result<Vec<&'e Descriptor>> {
    let one = |platform: &Platform| {
        let images = entries.iter().map(|entry| &entry.descriptor);
        let fitting = images.filter(|entry| suits(platform, entry).is_some());
        fitting.min_by_key(|entry| suits(platform, entry)).ok_or_else(|| {
            let offered = entries.iter().filter_map(|entry| entry.descriptor.platform.as_ref());
            let offered = offered.filter(|platform| platform.os != "unknown");
            no_platform(source, platform, offered.map(Platform::specifier))
        })
    };
    wanted.iter().map(one).collect()
}

fn no_platform(
    source: &Source,
    wanted: &Platform,
    offered: impl IntoIterator<Item = String>,
) -> CopyError {
    CopyError::NoPlatform {
        place: source.to_string(),
        wanted: wanted.specifier(),
        offered: Platform::list_offered(offered),
    }
}

/// Says of which document it is that it cannot be read.
fn failed(source: &Source, document: &Document) -> impl Fn(serde_json::Error) -> CopyError {
    let (place, digest) = (source.to_string(), document.digest.clone());
    move |error| CopyError::Manifest {
        place: place.clone(),
        digest: digest.clone(),
        source: error.into(),
    }
}

/// Says whether an entry is a chosen one, or attests to one.
fn stays(entry: &Descriptor, chosen: &[&Descriptor]) -> bool {
    let subject = entry.annotations.get(REFERENCE_DIGEST_ANNOTATION);
    chosen.iter().any(|one| {
        one.digest == entry.digest || subject.is_some_and(|of| *of == one.digest.to_string())
    })
}

/// Writes an index with these entries. All else, and each entry, stays as it is.
fn cut(bytes: &[u8], kept: &[&RawValue]) -> Result<Vec<u8>, serde_json::Error> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes)?;
    for (name, value) in &mut fields {
        if name.eq_ignore_ascii_case("manifests") {
            *value = to_raw_value(kept)?;
        }
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
    let config = read_config(shared, source, &image.config).await?;
    // What is no image may have any config: it names no platform.
    let offered = from_go_json::<Platform>(&config).unwrap_or_default();
    let entry = Descriptor { platform: Some(offered.clone()), ..image.config.clone() };
    match wanted.iter().find(|platform| suits(platform, &entry).is_none()) {
        None => Ok(()),
        Some(platform) => {
            let named = (!offered.os.is_empty()).then(|| offered.specifier());
            Err(no_platform(source, platform, named))
        }
    }
}

/// Reads the config of an image.
pub(super) async fn read_config(
    shared: &Shared,
    source: &Source,
    config: &Descriptor,
) -> Result<Bytes> {
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
    Ok(bytes.into())
}
