//! The facts that a page shows, read from the folder within bounds. Blocks.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;
use spec::{Descriptor, Digest, ImageManifest, Manifest, Platform, Tag};

use crate::error::{IoContext as _, ServerError};
use crate::name::RepositoryName;
use crate::storage::{Reference, Storage, StoredManifest};

/// Repositories or tags on one page.
const MAX_ROWS: usize = 50;
/// Tags that are named beside a repository.
const MAX_NAMED: usize = 8;
/// The beginning of Go's time of nothing.
const NO_TIME: &str = "0001-01-01";
/// Bytes of documents that are read for one page. A manifest may have 4 MiB, and hardly any has 100 KiB: what comes after is
/// listed without its size.
const BUDGET: u64 = 8 << 20;

/// A request for a page.
#[derive(Debug)]
pub(super) enum Wanted {
    Repositories { last: Option<String> },
    Tags { name: RepositoryName, last: Option<String> },
    Image { name: RepositoryName, reference: Reference },
}

/// The content of a page.
#[derive(Debug)]
pub(super) enum Facts {
    Repositories {
        rows: Vec<Repository>,
        next: Option<String>,
    },
    Tags {
        name: RepositoryName,
        rows: Vec<(String, Option<Document>)>,
        next: Option<String>,
    },
    Image {
        name: RepositoryName,
        reference: Reference,
        document: Box<Document>,
        referrers: Vec<Referrer>,
    },
    Nothing,
}

/// A repository and its first tags.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) is_cut: bool,
    /// Tags of cosign's among the first, which are no images.
    pub(super) about: usize,
}

/// Something about an image that has a tag of its own, as cosign puts it.
#[derive(Debug)]
pub(super) struct About {
    pub(super) kind: &'static str,
    pub(super) subject: Digest,
}

impl About {
    /// Reads what a tag says.
    pub(super) fn of(tag: &str) -> Option<Self> {
        let (subject, kind) = tag.parse::<Tag>().ok()?.cosign_subject()?;
        Some(Self { kind, subject })
    }
}

/// A manifest.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) content: Content,
}

/// The things that a manifest lists.
#[derive(Debug)]
pub(super) enum Content {
    Image {
        platform: Option<Platform>,
        created: Option<String>,
        image: Box<ImageManifest>,
    },
    /// Each manifest with the size of its layers, where that was read.
    Index(Vec<(Descriptor, Option<u64>)>),
    /// No list that anybody here can read.
    Other,
}

impl Document {
    /// The bytes that a pull of everything in it fetches, where they are known.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Image { image, .. } => Some(sum(&image.layers)),
            Content::Index(entries) => {
                entries.iter().try_fold(0_u64, |all, (_, size)| Some(all.saturating_add((*size)?)))
            }
            Content::Other => None,
        }
    }
}

/// Something that refers to a manifest: a signature, an SBOM.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Referrer {
    pub(super) digest: String,
    #[serde(default)]
    pub(super) artifact_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    created: Option<String>,
    #[serde(flatten)]
    platform: Platform,
}

/// Reads what a page shows.
pub(super) fn gather(storage: &Storage, wanted: Wanted) -> Result<Facts, ServerError> {
    let mut reading = Reading { storage, left: BUDGET };
    match wanted {
        Wanted::Repositories { last } => reading.repositories(last.as_deref()),
        Wanted::Tags { name, last } => reading.tags(name, last.as_deref()),
        Wanted::Image { name, reference } => reading.image(name, reference),
    }
}

struct Reading<'a> {
    storage: &'a Storage,
    /// Bytes that may still be read.
    left: u64,
}

impl Reading<'_> {
    fn repositories(&self, last: Option<&str>) -> Result<Facts, ServerError> {
        let page = self.storage.list_repositories(last, MAX_ROWS)?;
        let mut rows = Vec::new();
        for name in page.items {
            let Ok(repository) = name.parse::<RepositoryName>() else { continue };
            let tags = self.storage.list_tags(&repository, None, MAX_NAMED)?;
            let (tags, is_cut) =
                tags.map_or((Vec::new(), false), |page| (page.items, page.next.is_some()));
            let (about, tags): (Vec<_>, Vec<_>) =
                tags.into_iter().partition(|tag: &String| About::of(tag).is_some());
            rows.push(Repository { name, tags, is_cut, about: about.len() });
        }
        Ok(Facts::Repositories { rows, next: page.next })
    }

    fn tags(&mut self, name: RepositoryName, last: Option<&str>) -> Result<Facts, ServerError> {
        let Some(page) = self.storage.list_tags(&name, last, MAX_ROWS)? else {
            return Ok(Facts::Nothing);
        };
        let mut rows = Vec::new();
        for tag in page.items {
            let document = match tag.parse() {
                Ok(reference) => self.document(&name, &reference)?,
                Err(_) => None,
            };
            rows.push((tag, document));
        }
        Ok(Facts::Tags { name, rows, next: page.next })
    }

    fn image(&mut self, name: RepositoryName, reference: Reference) -> Result<Facts, ServerError> {
        let Some(document) = self.document(&name, &reference)? else { return Ok(Facts::Nothing) };
        let page = self.storage.list_referrers(&name, &document.digest, None, None)?;
        let referrers = page.items.iter().take(MAX_ROWS);
        let referrers =
            referrers.filter_map(|text| serde_json::from_str(text.get()).ok()).collect();
        Ok(Facts::Image { name, reference, document: Box::new(document), referrers })
    }

    fn document(
        &mut self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Document>, ServerError> {
        let Some(stored) = self.manifest(name, reference)? else { return Ok(None) };
        let annotated: Annotated = spec::from_go_json(&stored.bytes).unwrap_or_default();
        let content = match parse(&stored) {
            Some(Manifest::Image(image)) => {
                let config = self.config(name, &image.config)?;
                // What is no image may have a config of one that says nothing.
                let said = |time: &String| !time.starts_with(NO_TIME);
                let created = config.as_ref().and_then(|config| config.created.clone());
                let created = created.filter(said);
                let named = |platform: &Platform| !matches!(&*platform.os, "" | "unknown");
                let platform = config.map(|config| config.platform).filter(named);
                Content::Image { platform, created, image }
            }
            Some(Manifest::Index(index)) => {
                let mut entries = Vec::new();
                for entry in index.manifests {
                    let size = self.size(name, &entry)?;
                    entries.push((entry, size));
                }
                Content::Index(entries)
            }
            None => Content::Other,
        };
        let StoredManifest { media_type, digest, .. } = stored;
        let annotations = annotated.annotations.unwrap_or_default();
        Ok(Some(Document { digest, media_type, annotations, content }))
    }

    /// The bytes of the layers that a manifest of an index lists.
    fn size(
        &mut self,
        name: &RepositoryName,
        entry: &Descriptor,
    ) -> Result<Option<u64>, ServerError> {
        let stored = self.manifest(name, &Reference::Digest(entry.digest.clone()))?;
        Ok(match stored.as_ref().and_then(parse) {
            Some(Manifest::Image(image)) => Some(sum(&image.layers)),
            Some(Manifest::Index(_)) | None => None,
        })
    }

    fn manifest(
        &mut self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>, ServerError> {
        if self.left == 0 {
            return Ok(None);
        }
        let stored = self.storage.read_manifest(name, reference)?;
        let size = stored.as_ref().map_or(0, |stored| stored.bytes.len() as u64);
        self.left = self.left.saturating_sub(size);
        Ok(stored)
    }

    fn config(
        &mut self,
        name: &RepositoryName,
        config: &Descriptor,
    ) -> Result<Option<Config>, ServerError> {
        let Some(blob) = self.storage.open_blob(name, &config.digest)? else { return Ok(None) };
        if blob.size > self.left {
            return Ok(None);
        }
        self.left -= blob.size;
        let mut bytes = Vec::new();
        let path = std::path::Path::new("a config");
        blob.file.take(blob.size).read_to_end(&mut bytes).context("read", path)?;
        Ok(spec::from_go_json(&bytes).ok())
    }
}

fn parse(stored: &StoredManifest) -> Option<Manifest> {
    Manifest::parse(Some(&stored.media_type.as_str().into()), &stored.bytes).ok()
}

fn sum(layers: &[Descriptor]) -> u64 {
    layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add)
}
