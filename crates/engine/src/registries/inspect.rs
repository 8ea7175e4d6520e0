//! `registry inspect`: what a registry has under a name, and what that is made of.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use registry::{Access, PullLimit, Remote, TagOrDigest};
use serde::Deserialize;
use spec::{Descriptor, Digest, ImageManifest, Index, MAX_CONFIG_SIZE, Manifest};

use super::visit::{Found, Visit};
use crate::{Engine, EngineError, Result};

/// The most manifests of an index that are fetched to learn how large their images are. Real indexes have some dozens.
const MAX_SIZED: usize = 64;
/// Manifests that are fetched at the same time.
const PARALLEL: usize = 4;

/// The meaning of a name at a registry.
#[derive(Clone, Debug)]
pub struct RegistryObject {
    /// The manifest or the index.
    pub descriptor: Descriptor,
    /// The URL of the endpoint that says so.
    pub source: String,
    /// Kind of its content, of an artifact.
    pub artifact_type: Option<String>,
    /// The manifest that it refers to.
    pub subject: Option<Digest>,
    /// Its notes.
    pub annotations: BTreeMap<String, String>,
    /// The manifests that it lists, of an index.
    pub entries: Vec<ListedManifest>,
    /// The image: it, or the one of the index that is meant.
    pub image: Option<RegistryImage>,
    /// The pulls that the registry still allows.
    pub pull_limit: Option<PullLimit>,
}

/// An entry of an index.
#[derive(Clone, Debug)]
pub struct ListedManifest {
    /// The manifest, with its platform and its notes.
    pub descriptor: Descriptor,
    /// Kind of its content, of an artifact.
    pub artifact_type: Option<String>,
    /// The size of its image as it is kept by the registry, if it was asked for.
    pub image_size: Option<u64>,
}

/// An image at a registry.
#[derive(Clone, Debug)]
pub struct RegistryImage {
    /// Its manifest, with its platform.
    pub descriptor: Descriptor,
    /// The manifest's notes.
    pub annotations: BTreeMap<String, String>,
    /// Its config, as a blob.
    pub config: Descriptor,
    /// Its layers, the bottom one first.
    pub layers: Vec<Descriptor>,
    /// Time of creation, RFC 3339.
    pub created: Option<String>,
    /// Name and address of the maker.
    pub author: Option<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
}

impl RegistryImage {
    /// Returns the bytes of all its blobs.
    pub fn size(&self) -> u64 {
        size(&self.config, &self.layers)
    }
}

/// The sizes of a manifest's descriptors have a bound each and their number, too: the sum does not overflow.
fn size(config: &Descriptor, layers: &[Descriptor]) -> u64 {
    layers.iter().chain([config]).map(|blob| blob.size).sum()
}

/// The part of a manifest that only whoever shows it reads.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Notes {
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
    subject: Option<Subject>,
    manifests: Vec<Option<EntryNotes>>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct EntryNotes {
    artifact_type: Option<String>,
}

/// The part of a config that is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigNotes {
    created: Option<String>,
    author: Option<String>,
    config: Settings,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    labels: BTreeMap<String, String>,
}

impl Engine {
    /// Finds out what a name means at its registry, down to the config of the image for the platform that is meant, or for
    /// this machine.
    ///
    /// A registry that counts pulls is asked for no more than that image: the sizes of the others are not worth pulls.
    pub async fn registry_inspect(&self, visit: &Visit) -> Result<RegistryObject> {
        let remote = self.visit(visit, Access::Pull).await?;
        let target = TagOrDigest::from(&visit.reference);
        let resolved = remote.resolve(&target).await.map_err(EngineError::Registry)?;
        let found = visit.fetch(&remote, &resolved.descriptor.digest.into()).await?;
        let notes: Notes = spec::from_go_json(&found.bytes).unwrap_or_default();
        let (mut entries, mut image) = (Vec::new(), None);
        match &found.manifest {
            Manifest::Index(index) => {
                let chosen = match visit.choose(index) {
                    Ok(chosen) => Some(chosen),
                    Err(error) if visit.platform.is_some() => return Err(error),
                    Err(_) => None,
                };
                let mut fetched = None;
                if let Some(chosen) = chosen {
                    let mut entry = visit.fetch(&remote, &chosen.digest.clone().into()).await?;
                    entry.descriptor.platform.clone_from(&chosen.platform);
                    fetched = Some(entry);
                }
                let counts = resolved.pull_limit.is_some();
                let sizes = visit.sizes(&remote, index, fetched.as_ref(), counts).await;
                entries = listed(index, &notes, &sizes);
                if let Some(entry) = &fetched
                    && let Manifest::Image(manifest) = &entry.manifest
                {
                    image = Some(visit.image(&remote, manifest, entry).await?);
                }
            }
            Manifest::Image(manifest) => {
                image = Some(visit.image(&remote, manifest, &found).await?);
            }
        }
        Ok(RegistryObject {
            descriptor: found.descriptor,
            source: resolved.source.url,
            artifact_type: notes.artifact_type.filter(|text| !text.is_empty()),
            subject: notes.subject.map(|subject| subject.digest),
            annotations: notes.annotations,
            entries,
            image,
            pull_limit: resolved.pull_limit,
        })
    }
}

/// Returns the entries of an index with what is known of them.
fn listed(index: &Index, notes: &Notes, sizes: &BTreeMap<Digest, u64>) -> Vec<ListedManifest> {
    // Both are the entries that are not null, in order.
    let mut notes = notes.manifests.iter().flatten();
    let entries = index.manifests.iter().map(|descriptor| ListedManifest {
        descriptor: descriptor.clone(),
        artifact_type: notes.next().and_then(|notes| notes.artifact_type.clone()),
        image_size: sizes.get(&descriptor.digest).copied(),
    });
    entries.collect()
}

impl Found {
    /// Returns the bytes of all blobs of an image.
    fn image_size(&self) -> Option<u64> {
        match &self.manifest {
            Manifest::Image(image) => Some(size(&image.config, &image.layers)),
            Manifest::Index(_) => None,
        }
    }
}

impl Visit {
    /// Adds up the sizes of what the manifests of an index's platforms list. `fetched` is one of them that is at hand, and the only one
    /// that is looked at by a registry that `counts` pulls; the others are fetched. A manifest that cannot be had or read leaves its size
    /// unknown.
    async fn sizes(
        &self,
        remote: &Remote,
        index: &Index,
        fetched: Option<&Found>,
        counts: bool,
    ) -> BTreeMap<Digest, u64> {
        let only = fetched.filter(|_| counts);
        let wanted = index.manifests.iter().filter(|entry| {
            let of_platform = entry.platform.as_ref().is_some_and(|platform| {
                !platform.architecture.is_empty() && platform.architecture != "unknown"
            });
            of_platform && only.is_none_or(|only| only.descriptor.digest == entry.digest)
        });
        let digests: Vec<Digest> = wanted.map(|entry| entry.digest.clone()).collect();
        if digests.len() > MAX_SIZED {
            return BTreeMap::new();
        }
        let sizes = digests.into_iter().map(|digest| async move {
            let size = match fetched.filter(|found| found.descriptor.digest == digest) {
                Some(found) => found.image_size(),
                None => self.fetch(remote, &digest.clone().into()).await.ok()?.image_size(),
            };
            Some((digest, size?))
        });
        let found: Vec<_> = stream::iter(sizes).buffer_unordered(PARALLEL).collect().await;
        found.into_iter().flatten().collect()
    }

    async fn image(
        &self,
        remote: &Remote,
        manifest: &ImageManifest,
        found: &Found,
    ) -> Result<RegistryImage> {
        let mut descriptor = found.descriptor.clone();
        let mut notes = ConfigNotes::default();
        if manifest.config.media_type.is_config() {
            let bytes = remote.blob_bytes(&manifest.config, MAX_CONFIG_SIZE).await;
            let bytes = bytes.map_err(EngineError::Registry)?;
            let digest = &manifest.config.digest;
            let invalid = |source| EngineError::Config { digest: digest.clone(), source };
            notes = spec::from_go_json(&bytes).map_err(invalid)?;
            if descriptor.platform.is_none() {
                descriptor.platform = Some(spec::from_go_json(&bytes).map_err(invalid)?);
            }
        }
        let about: Notes = spec::from_go_json(&found.bytes).unwrap_or_default();
        Ok(RegistryImage {
            descriptor,
            annotations: about.annotations,
            config: manifest.config.clone(),
            layers: manifest.layers.clone(),
            created: notes.created,
            author: notes.author.filter(|author| !author.is_empty()),
            labels: notes.config.labels,
        })
    }
}
