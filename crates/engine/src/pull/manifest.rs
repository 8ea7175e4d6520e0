//! From a reference to the manifest of one image: through indexes, by platform.

use std::sync::Arc;

use bytes::Bytes;
use registry::{FetchedManifest, RegistryError, Resolution, TagOrDigest};
use spec::{
    Algorithm, Descriptor, Digest, ImageManifest, Index, MAX_MANIFEST_SIZE, Manifest, MediaType,
    Mentioned, Platform, Raw, Reference, Schema1,
};

use store::{StoreError, VerifiedBlob};

use super::operation::{Pull, refused};
use crate::error::Mistake;
use crate::progress::ProgressEvent;
use crate::{EngineError, Progress, Result};

/// The depth to which indexes may be nested. One level is usual, two are seen.
pub(super) const MAX_INDEX_DEPTH: usize = 4;

/// The thing that a reference led to.
pub(super) enum Found {
    /// An image, as others are.
    Image(Box<Resolved>),
    /// An image of schema 1, which has no config yet.
    FirstSchema(Box<FirstSchema>),
}

/// A manifest of schema 1. The registry client has checked its signatures.
pub(super) struct FirstSchema {
    /// The part of it that is signed, whose digest is the manifest's.
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Schema1,
}

/// The manifest that a reference led to.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The digest that the tag or digest names: that of an index or of the manifest itself.
    pub(super) digest: Digest,
    /// The indexes on the way, the outermost first.
    pub(super) indexes: Vec<(Descriptor, Bytes)>,
    /// The image's manifest.
    pub(super) manifest: Raw<ImageManifest>,
}

impl Resolved {
    /// Describes the indexes and the manifest, the outermost first.
    pub(super) fn descriptors(&self) -> Vec<Descriptor> {
        let manifest = &self.manifest;
        let media_type = manifest.value().media_type.clone();
        let size = manifest.bytes().len() as u64;
        let indexes = self.indexes.iter().map(|(descriptor, _)| descriptor.clone());
        indexes.chain([Descriptor::new(media_type, manifest.digest().clone(), size)]).collect()
    }

    /// Forgets the outermost indexes: what is below them is as if it had been asked for itself.
    pub(super) fn pass(&mut self, indexes: usize) {
        self.indexes.drain(..indexes.min(self.indexes.len()));
        let outermost = self.indexes.first().map(|(descriptor, _)| &descriptor.digest);
        if indexes > 0 {
            self.digest = outermost.unwrap_or_else(|| self.manifest.digest()).clone();
        }
    }

    /// Lists the indexes and the manifest, the outermost first.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&Digest, &Bytes)> {
        let indexes = self.indexes.iter().map(|(descriptor, bytes)| (&descriptor.digest, bytes));
        indexes.chain([(self.manifest.digest(), self.manifest.bytes())])
    }

    /// Returns the indexes and the manifest as they are to be kept.
    pub(super) fn blobs(&self) -> Result<Vec<VerifiedBlob>, StoreError> {
        let documents = self.documents();
        documents.map(|(digest, bytes)| VerifiedBlob::check(digest, bytes.clone())).collect()
    }
}

impl Pull {
    /// Resolves a tag once to a digest, and follows it to the manifest of the image for the platform.
    pub(super) async fn resolve(
        &self,
        target: &TagOrDigest,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<Found> {
        let (mut descriptor, mut bytes) = self.root(target, reference).await?;
        let digest = descriptor.digest.clone();
        progress.report(ProgressEvent::Pulling {
            reference: match target {
                TagOrDigest::Tag(tag) => tag.to_string(),
                TagOrDigest::Digest(_) => reference.clone().by_digest().to_string(),
            },
            repository: reference.repository().path().to_owned(),
        });
        if is_first_schema(Some(&descriptor.media_type), &bytes) {
            let manifest = Schema1::parse(&bytes, &reference.familiar())?;
            return Ok(Found::FirstSchema(Box::new(FirstSchema { descriptor, manifest })));
        }
        let mut indexes = Vec::new();
        while indexes.len() <= MAX_INDEX_DEPTH {
            let document = parse(&descriptor, &bytes, reference)?;
            // Whoever sends or lists it may call it otherwise, or by nothing.
            descriptor.media_type = document.media_type().clone();
            descriptor.size = bytes.len() as u64;
            match document {
                Manifest::Image(manifest) => {
                    check_kind(&manifest)?;
                    let manifest = Raw::parse(bytes, |_| Ok::<_, EngineError>(*manifest))?;
                    let resolved = Resolved { digest, indexes, manifest };
                    return Ok(Found::Image(Box::new(resolved)));
                }
                Manifest::Index(index) => {
                    let chosen = self.choose(&index)?.clone();
                    indexes.push((descriptor, bytes));
                    // As for dockerd: its digest says what it is, whatever size the index gives it.
                    bytes = self.whole_document(&chosen.digest, reference).await?;
                    descriptor = chosen;
                }
            }
        }
        Err(EngineError::IndexDepth(reference.familiar()))
    }

    /// Returns what the target names. A tag costs a HEAD only when what it names is here already, a digest nothing.
    async fn root(
        &self,
        target: &TagOrDigest,
        reference: &Reference,
    ) -> Result<(Descriptor, Bytes)> {
        match target {
            TagOrDigest::Tag(_) => loop {
                let resolved = self.remote.resolve(target).await;
                let Resolution { descriptor, source, .. } =
                    resolved.map_err(|error| refused(error, reference))?;
                let document = self.meaning(target, descriptor, reference).await;
                // A mirror's word for a tag is worth what can be had by it.
                let usable = document.and_then(|(descriptor, bytes)| {
                    if source.mirror && !is_first_schema(Some(&descriptor.media_type), &bytes) {
                        parse(&descriptor, &bytes, reference)?;
                    }
                    Ok((descriptor, bytes))
                });
                match usable {
                    Ok(found) => return Ok(found),
                    Err(error) if self.remote.pass_over(&source) => {
                        tracing::info!(error = %error.message(), "a tag is asked for elsewhere");
                    }
                    Err(error) => return Err(error),
                }
            },
            TagOrDigest::Digest(digest) => {
                let (bytes, sent_as) = match self.local_document(digest).await? {
                    Some(bytes) => (bytes, None),
                    None => self.fetch(digest, reference).await?,
                };
                let media_type = sent_as.unwrap_or_else(|| document_type(&bytes));
                Ok((Descriptor::new(media_type, digest.clone(), bytes.len() as u64), bytes))
            }
        }
    }

    /// Returns what a tag means. What is of schema 1 is asked for by the tag: registries that convert to it have it under no digest.
    async fn meaning(
        &self,
        tag: &TagOrDigest,
        descriptor: Descriptor,
        reference: &Reference,
    ) -> Result<(Descriptor, Bytes)> {
        if !is_first_schema(Some(&descriptor.media_type), &[]) {
            // The length that a HEAD says is not believed.
            let bytes = self.whole_document(&descriptor.digest, reference).await?;
            return Ok((descriptor, bytes));
        }
        let fetched = self.remote.manifest(tag).await;
        let FetchedManifest { bytes, media_type, digest, .. } =
            fetched.map_err(|error| refused(error, reference))?;
        let media_type = media_type.unwrap_or_else(|| document_type(&bytes));
        Ok((Descriptor::new(media_type, digest, bytes.len() as u64), bytes))
    }

    /// Returns a manifest or index as it is listed, from the store or the registry.
    pub(super) async fn document(
        &self,
        descriptor: &Descriptor,
        reference: &Reference,
    ) -> Result<Bytes> {
        let bytes = self.whole_document(&descriptor.digest, reference).await?;
        check_size(descriptor, bytes.len() as u64, reference)?;
        Ok(bytes)
    }

    /// Returns a manifest or index, however large it is said to be.
    pub(super) async fn whole_document(
        &self,
        digest: &Digest,
        reference: &Reference,
    ) -> Result<Bytes> {
        match self.local_document(digest).await? {
            Some(bytes) => Ok(bytes),
            None => Ok(self.fetch(digest, reference).await?.0),
        }
    }

    async fn fetch(
        &self,
        digest: &Digest,
        reference: &Reference,
    ) -> Result<(Bytes, Option<MediaType>)> {
        let fetched = self.remote.manifest(&TagOrDigest::Digest(digest.clone())).await;
        let fetched = fetched.map_err(|error| refused(error, reference))?;
        Ok((fetched.bytes, fetched.media_type))
    }

    /// Returns a manifest that is kept here; what is damaged is dropped, to be fetched again.
    async fn local_document(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let (lease, digest) = (Arc::clone(&self.lease), digest.clone());
        self.engine
            .on_disk(move |store| {
                lease.hold_blob(&digest)?;
                let small = store.blob(&digest)?.is_some_and(|blob| blob.size <= MAX_MANIFEST_SIZE);
                if !small {
                    return Ok(None);
                }
                let bytes = match store.read_blob(&digest, MAX_MANIFEST_SIZE) {
                    Ok(bytes) => bytes,
                    Err(error) if !store.discard_blob_if_damaged(&digest)? => {
                        return Err(error.into());
                    }
                    Err(_) => None,
                };
                // A user may ask for the digest of a config or a layer: what the registry says of it is the answer.
                Ok(bytes.filter(|bytes| Mentioned::parse(bytes).is_ok()))
            })
            .await
    }

    /// Chooses the entry that suits the platform best; of equals the first.
    fn choose<'i>(&self, index: &'i Index) -> Result<&'i Descriptor> {
        let wanted = self.request.platform.clone().unwrap_or_else(Platform::host);
        choose(&index.manifests, &wanted)
    }
}

/// Chooses the entry of an index that suits a platform best; of equals the first.
pub(crate) fn choose<'i>(entries: &'i [Descriptor], wanted: &Platform) -> Result<&'i Descriptor> {
    let preference = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => wanted.preference(platform),
        // An entry that says nothing may be anything; an index within an index is one. It comes last.
        None => Some(usize::MAX),
    };
    entries
        .iter()
        .filter(|descriptor| descriptor.media_type.may_be_manifest())
        .filter_map(|descriptor| Some((preference(descriptor)?, descriptor)))
        .min_by_key(|(preference, _)| *preference)
        .map(|(_, descriptor)| descriptor)
        .ok_or_else(|| EngineError::NoMatchingManifest(wanted.specifier()))
}

/// Fails unless content of an image is as large as its descriptor says.
pub(super) fn check_size(
    descriptor: &Descriptor,
    actual: u64,
    reference: &Reference,
) -> Result<()> {
    if actual == descriptor.size {
        return Ok(());
    }
    let (request, digest) = (reference.familiar(), descriptor.digest.clone());
    let expected = descriptor.size;
    Err(EngineError::Registry(RegistryError::SizeMismatch { request, digest, expected, actual }))
}

/// Says whether a document is of schema 1, by its type or by what it says of itself.
pub(crate) fn is_first_schema(media_type: Option<&MediaType>, bytes: &[u8]) -> bool {
    use MediaType::{DockerManifestV1, DockerManifestV1Signed};
    matches!(media_type, Some(DockerManifestV1 | DockerManifestV1Signed)) || Schema1::is(bytes)
}

fn parse(descriptor: &Descriptor, bytes: &[u8], reference: &Reference) -> Result<Manifest> {
    Manifest::parse(Some(&descriptor.media_type), bytes)
        .map_err(|source| EngineError::Manifest { reference: reference.familiar(), source })
}

/// Reads the type that a document says it is of; the parser has the last word.
fn document_type(bytes: &[u8]) -> MediaType {
    match Manifest::parse(None, bytes) {
        Ok(manifest) => manifest.media_type().clone(),
        Err(_) => MediaType::from(""),
    }
}

/// Refuses manifests of things that are no images, by what their config is, before anything is downloaded.
fn check_kind(manifest: &ImageManifest) -> Result<()> {
    if manifest.config.digest.algorithm() != Algorithm::Sha256 {
        let digest = manifest.config.digest.clone();
        return Err(EngineError::InvalidParameter(Mistake::ConfigAlgorithm(digest)));
    }
    let media_type = &manifest.config.media_type;
    let class = match media_type.as_str() {
        _ if media_type.is_config() => return Ok(()),
        "application/vnd.docker.plugin.v1+json" => "plugin",
        _ => "unknown",
    };
    Err(EngineError::NotAnImage { media_type: media_type.clone(), class })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: Option<&str>, media_type: MediaType, mark: u8) -> Descriptor {
        let mut descriptor = Descriptor::new(media_type, Digest::sha256(&[mark]), 1);
        descriptor.platform = platform.map(|text| {
            let words: Vec<&str> = text.split('/').collect();
            Platform {
                os: words[0].into(),
                architecture: words[1].into(),
                variant: words.get(2).map(|variant| (*variant).to_owned()),
                ..Platform::default()
            }
        });
        descriptor
    }

    #[test]
    fn chooses_the_best_entry_that_is_an_image() {
        let manifest = || MediaType::OciManifest;
        let amd64 = Platform::parse("linux/amd64").unwrap();
        for (entries, expected) in [
            (vec![], None),
            (vec![entry(Some("linux/arm64"), manifest(), 0)], None),
            (
                vec![
                    entry(Some("unknown/unknown"), manifest(), 0),
                    entry(Some("linux/amd64"), manifest(), 1),
                ],
                Some(1),
            ),
            (
                vec![
                    entry(Some("linux/386"), manifest(), 0),
                    entry(Some("linux/amd64"), manifest(), 1),
                ],
                Some(1),
            ),
            (
                vec![
                    entry(Some("linux/amd64"), manifest(), 0),
                    entry(Some("linux/amd64"), manifest(), 1),
                ],
                Some(0),
            ),
            (vec![entry(None, manifest(), 0), entry(Some("linux/386"), manifest(), 1)], Some(1)),
            (vec![entry(None, MediaType::OciIndex, 0)], Some(0)),
            (vec![entry(Some("linux/amd64"), MediaType::from("application/x-helm"), 0)], None),
        ] {
            let chosen = choose(&entries, &amd64);
            let Some(mark) = expected else {
                let told = chosen.unwrap_err().to_string();
                assert_eq!(told, EngineError::NoMatchingManifest("linux/amd64".into()).to_string());
                continue;
            };
            assert_eq!(chosen.unwrap().digest, Digest::sha256(&[mark]), "{entries:?}");
        }
    }

    /// dockerd refuses by the config what is no image, before it downloads anything.
    #[test]
    fn manifests_of_other_things_are_refused_by_their_config() {
        for (media_type, expected) in [
            ("application/vnd.docker.container.image.v1+json", ""),
            ("application/vnd.oci.image.config.v1+json", ""),
            (
                "application/vnd.docker.plugin.v1+json",
                "Encountered remote \"application/vnd.docker.plugin.v1+json\"(plugin) when fetching",
            ),
            (
                "application/vnd.cncf.helm.config.v1+json",
                "Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching",
            ),
        ] {
            let manifest = ImageManifest {
                media_type: MediaType::OciManifest,
                config: Descriptor::new(MediaType::from(media_type), Digest::sha256(b"config"), 6),
                layers: Vec::new(),
            };
            let told = check_kind(&manifest).err().map(|error| error.to_string());
            assert_eq!(told.unwrap_or_default(), expected);
        }
        let sha512 = format!("sha512:{}", "0".repeat(128));
        let manifest = ImageManifest {
            media_type: MediaType::OciManifest,
            config: Descriptor::new(MediaType::OciConfig, sha512.parse().unwrap(), 6),
            layers: Vec::new(),
        };
        let told = check_kind(&manifest).unwrap_err().to_string();
        assert_eq!(
            told,
            format!("image config {sha512} cannot name an image: image IDs are sha256")
        );
    }

    #[test]
    fn a_document_is_what_it_says() {
        for (text, expected) in [
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
                MediaType::OciIndex,
            ),
            ("{", MediaType::from("")),
            ("", MediaType::from("")),
        ] {
            assert_eq!(document_type(text.as_bytes()), expected, "{text}");
        }
    }
}
