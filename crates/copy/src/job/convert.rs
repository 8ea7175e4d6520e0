//! One image on its way to other bytes: children before parents, as what names them says their new digests.
//!
//! What the target has of the image from before is not made again: a manifest with the same config has the same layers, whatever
//! they are compressed by.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use spec::{
    Descriptor, DiffId, Digest, ImageConfig, ImageManifest, Index, Manifest, ManifestError,
};

use super::choice::read_config;
use super::documents::{AT_ONCE, MAX_DEPTH, MAX_DOCUMENTS};
use crate::convert::layer::Recompressed;
use crate::convert::memory::{Converted, Made};
use crate::convert::rewrite::rewrite;
use crate::convert::{Conversion, LayerEncoding};
use crate::document::Document;
use crate::error::Result;
use crate::progress::{Changes, Event, Outcome};
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, Target};

/// One image on its way, and what is to become of it.
pub(super) struct Conversions<'a> {
    shared: &'a Shared,
    source: &'a Source,
    target: &'a Target,
    conversion: Conversion,
    /// By their configs, the layers of images that the target has.
    there: HashMap<Digest, Vec<Descriptor>>,
    /// True if the target is asked for documents before they are stored.
    asks: bool,
    sent: AtomicBool,
    documents: AtomicUsize,
}

/// A document as it is to be, all that it names being at the target.
pub(super) struct Rewritten {
    pub(super) document: Document,
    pub(super) manifest: Manifest,
    pub(super) changes: Changes,
}

impl<'a> Conversions<'a> {
    /// Looks for what `target` has of the image: all that `present` leads to there, unless its word for what layers are is not `believed`.
    pub(super) async fn new(
        shared: &'a Shared,
        (source, target): (&'a Source, &'a Target),
        conversion: Conversion,
        present: Option<&Digest>,
        believed: bool,
    ) -> Self {
        let mut this = Self {
            shared,
            source,
            target,
            conversion,
            there: HashMap::new(),
            asks: present.is_some(),
            sent: AtomicBool::new(false),
            documents: AtomicUsize::new(0),
        };
        // Who believes nothing compresses all anew.
        if conversion.encoding().is_some()
            && believed
            && let Some(present) = present
        {
            this.look(present.clone()).await;
        }
        this
    }

    /// Says whether the target lacked anything so far.
    pub(super) fn has_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Reads the manifests of the target, as far as they can be read: this only saves work.
    async fn look(&mut self, present: Digest) {
        let (mut next, mut read) = (vec![(present, 0)], 0);
        while let Some((digest, depth)) = next.pop() {
            read += 1;
            if read > MAX_DOCUMENTS {
                return;
            }
            let document = self.target.document(self.shared, &digest).await;
            let parsed = document.map(|found| Manifest::parse(None, &found?.bytes).ok());
            match parsed {
                Ok(Some(Manifest::Image(image))) => {
                    self.there.insert(image.config.digest, image.layers);
                }
                Ok(Some(Manifest::Index(index))) if depth < MAX_DEPTH => {
                    let entries = index.manifests.into_iter();
                    let manifests = entries.filter(|entry| entry.media_type.may_be_manifest());
                    next.extend(manifests.map(|entry| (entry.digest, depth + 1)));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, %digest, target = %self.target, "what the target has is not looked at");
                    return;
                }
            }
        }
    }

    /// Brings all that a document names to the target, and returns the document that names it there.
    pub(super) fn document<'s>(
        &'s self,
        document: &'s Document,
        manifest: &'s Manifest,
        depth: usize,
    ) -> LocalBoxFuture<'s, Result<Rewritten>> {
        async move {
            let (new, changes) = match manifest {
                Manifest::Image(image) => {
                    let (image, changes) = Box::pin(self.image(document, image)).await?;
                    (Manifest::Image(Box::new(image)), changes)
                }
                Manifest::Index(index) => {
                    let (index, changes) = self.index(index, depth).await?;
                    (Manifest::Index(index), changes)
                }
            };
            self.rewritten(document, manifest, new, changes)
        }
        .boxed_local()
    }

    fn rewritten(
        &self,
        document: &Document,
        old: &Manifest,
        new: Manifest,
        mut changes: Changes,
    ) -> Result<Rewritten> {
        if *old == new {
            return Ok(Rewritten { document: document.clone(), manifest: new, changes });
        }
        changes.retyped += u64::from(old.media_type() != new.media_type());
        let wrong = |source| CopyError::Manifest {
            place: self.source.to_string(),
            digest: document.digest.clone(),
            source,
        };
        let bytes = rewrite(&document.bytes, old, &new);
        let bytes = Bytes::from(bytes.map_err(|error| wrong(error.into()))?);
        // A document with fields that are spelt oddly is read otherwise than it was written.
        let media_type = new.media_type().clone();
        if Manifest::parse(Some(&media_type), &bytes).map_err(wrong)? != new {
            let what = "it cannot be written anew without another meaning".to_owned();
            return Err(wrong(ManifestError::Ambiguous(what)));
        }
        let digest = Digest::sha256(&bytes);
        let document = Document { bytes, media_type: Some(media_type), digest };
        Ok(Rewritten { document, manifest: new, changes })
    }

    async fn index(&self, index: &Index, depth: usize) -> Result<(Index, Changes)> {
        let at_once = if depth > 0 { 1 } else { AT_ONCE };
        let entries = stream::iter(&index.manifests).map(|entry| self.entry(entry, depth + 1));
        let entries: Vec<(Descriptor, Changes)> = entries.buffered(at_once).try_collect().await?;
        let mut new = index.clone();
        new.media_type = self.conversion.index_type(&index.media_type);
        let (mut renamed, mut changes) = (BTreeMap::new(), Changes::default());
        for ((new, old), (entry, of_entry)) in
            new.manifests.iter_mut().zip(&index.manifests).zip(entries)
        {
            if entry.digest != old.digest {
                renamed.insert(old.digest.to_string(), entry.digest.to_string());
            }
            *new = entry;
            changes += of_entry;
        }
        for entry in &mut new.manifests {
            let subject = entry.annotations.get_mut(spec::REFERENCE_DIGEST_ANNOTATION);
            let Some(subject) = subject else { continue };
            if let Some(digest) = renamed.get(subject) {
                subject.clone_from(digest);
                changes.attestations += 1;
            }
        }
        Ok((new, changes))
    }

    /// Brings what an index lists to the target.
    async fn entry(&self, entry: &Descriptor, depth: usize) -> Result<(Descriptor, Changes)> {
        if !entry.media_type.may_be_manifest() {
            self.blob(self.source, entry).await?;
            return Ok((entry.clone(), Changes::default()));
        }
        let memory = &self.shared.conversions;
        let cell = memory.document(self.target.key(), self.conversion, &entry.digest);
        let converted = cell.get_or_try_init(|| self.fetch(entry, depth)).await?;
        let made = &converted.document;
        let mut described = entry.clone();
        if made.digest != entry.digest {
            (described.digest, described.size) = (made.digest.clone(), made.size);
            described.media_type = made.media_type.clone();
        }
        let mut changes = converted.changes;
        if entry.annotations.contains_key(spec::REFERENCE_DIGEST_ANNOTATION) {
            changes.left = 0;
        }
        Ok((described, changes))
    }

    async fn fetch(&self, entry: &Descriptor, depth: usize) -> Result<Converted> {
        let place = || self.source.to_string();
        if depth > MAX_DEPTH {
            return Err(CopyError::Depth { place: place(), limit: MAX_DEPTH });
        }
        if self.documents.fetch_add(1, Ordering::Relaxed) >= MAX_DOCUMENTS {
            return Err(CopyError::Documents { place: place(), limit: MAX_DOCUMENTS });
        }
        let document = self.shared.fetch(self.source, Some(&entry.digest)).await?;
        let manifest = self.source.parse(&document)?;
        let Rewritten { document, manifest, changes } =
            self.document(&document, &manifest, depth).await?;
        let (digest, size) = (&document.digest, document.bytes.len() as u64);
        let is_there = self.asks && self.target.document(self.shared, digest).await?.is_some();
        if !is_there {
            self.sent.store(true, Ordering::Relaxed);
            self.target.store(self.shared, false, &document, manifest.media_type()).await?;
            self.shared.tell(&Event::Document { digest, size });
        }
        let document = Descriptor::new(manifest.media_type().clone(), digest.clone(), size);
        Ok(Converted { document, changes })
    }

    async fn image(
        &self,
        document: &Document,
        image: &ImageManifest,
    ) -> Result<(ImageManifest, Changes)> {
        let mut changes = Changes::default();
        let planned = self.conversion.planned(image);
        let planned = planned.transpose().map_err(|layer| CopyError::LayerType {
            place: self.source.to_string(),
            layer: layer.digest.clone(),
        })?;
        let Some(mut planned) = planned else {
            changes.left += 1;
            let blobs = stream::iter(image.layers.iter().chain([&image.config]));
            let copied = blobs.map(|blob| self.blob(self.source, blob));
            copied.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            return Ok((image.clone(), changes));
        };
        let kept = self.kept(image).await?;
        let new = image
            .layers
            .iter()
            .zip(&kept)
            .map(|(layer, kept)| self.conversion.encoding_of(layer).filter(|_| kept.is_none()));
        let new: Vec<Option<LayerEncoding>> = new.collect();
        let mut diff_ids = Vec::new();
        if new.iter().any(Option::is_some) && !self.shared.mode.dry {
            diff_ids = self.diff_ids(document, image).await?;
        }
        let layers = stream::iter(image.layers.iter().zip(new.iter().zip(kept)).enumerate());
        let layers = layers.map(|(at, (layer, (new, kept)))| {
            let diff_id = diff_ids.get(at);
            async move {
                match (new, kept) {
                    (Some(encoding), _) => Box::pin(self.layer(layer, *encoding, diff_id)).await,
                    (None, Some(kept)) => Ok(same(kept)),
                    (None, None) => self.blob(self.source, layer).await.map(|()| same(layer)),
                }
            }
        });
        let config = self.blob(self.source, &image.config);
        let layers = layers.buffered(AT_ONCE).try_collect::<Vec<(Digest, u64)>>();
        let (layers, ()) = tokio::try_join!(layers, config)?;
        for ((new, old), (digest, size)) in planned.layers.iter_mut().zip(&image.layers).zip(layers)
        {
            (new.digest, new.size) = (digest, size);
            changes.layers += u64::from(self.conversion.encoding_of(old).is_some());
        }
        Ok((planned, changes))
    }

    /// Finds for each layer that is to be compressed anew the one that the target has of it: listed there, and there.
    async fn kept(&self, image: &ImageManifest) -> Result<Vec<Option<&Descriptor>>> {
        let there = self.there.get(&image.config.digest);
        let there = there.filter(|layers| layers.len() == image.layers.len());
        let found = image.layers.iter().enumerate().map(|(at, layer)| {
            self.conversion.encoding_of(layer)?;
            there.map(|layers| &layers[at]).filter(|found| self.conversion.is_met_by(found))
        });
        let kept = stream::iter(found).map(|found| async move {
            match found {
                Some(found) if self.target.has(self.shared, found).await? => Ok(Some(found)),
                _ => Ok(None),
            }
        });
        kept.buffered(AT_ONCE).try_collect().await
    }

    /// Reads which tars the layers are to be, as the config says.
    async fn diff_ids(&self, document: &Document, image: &ImageManifest) -> Result<Vec<DiffId>> {
        let bytes = read_config(self.shared, self.source, &image.config).await?;
        let config = ImageConfig::parse(&bytes).map_err(|error| CopyError::Manifest {
            place: self.source.to_string(),
            digest: document.digest.clone(),
            source: error.into(),
        })?;
        Ok(config.rootfs.diff_ids)
    }

    /// Brings a layer to the target in another compression. Returns its digest and size there.
    async fn layer(
        &self,
        layer: &Descriptor,
        encoding: LayerEncoding,
        diff_id: Option<&DiffId>,
    ) -> Result<(Digest, u64)> {
        let shared = self.shared;
        if shared.mode.dry {
            // What its digest would be nobody knows before.
            self.blob(self.source, layer).await?;
            return Ok(same(layer));
        }
        let memory = &shared.conversions;
        let cell = memory.layer(encoding.0, &layer.digest);
        let mut kept = None;
        let made = cell.get_or_try_init(|| async {
            // Kept until the layer is sent, so that few files are there at once.
            let slot = Arc::clone(&memory.slots).acquire_owned().await;
            let _turn = shared.budget.turn(&[self.source.host()]).await;
            let resources = &shared.conversions.resources;
            let report = &shared.report;
            let source = Recompressed::new(self.source, layer, encoding, resources, report);
            let made = source.make().await?;
            kept = Some((slot, made.file));
            let new = Descriptor::new(layer.media_type.clone(), made.digest, made.size);
            shared.tell(&Event::Compressed { layer, made: &new });
            let (layer, diff_id, source) = (new, made.diff_id, Arc::new(source));
            Ok::<_, CopyError>(Made { layer, diff_id, source })
        });
        let made = made.await?;
        let others = made.source.kept();
        // Made before, and gone: as much as the first time it takes a slot.
        if kept.is_none() && others.is_none() && !self.target.has(shared, &made.layer).await? {
            let slot = Arc::clone(&memory.slots).acquire_owned().await;
            let _turn = shared.budget.turn(&[self.source.host()]).await;
            kept = Some((slot, made.source.keep().await?));
        }
        if let Some(expected) = diff_id.filter(|expected| **expected != made.diff_id) {
            return Err(CopyError::DiffId {
                place: self.source.to_string(),
                layer: layer.digest.clone(),
                expected: expected.to_string(),
                actual: made.diff_id.to_string(),
            });
        }
        self.blob(&Source::derived(made.source.clone()), &made.layer).await?;
        drop((kept, others));
        Ok(same(&made.layer))
    }

    async fn blob(&self, source: &Source, blob: &Descriptor) -> Result<()> {
        if let Some(outcome) = Box::pin(self.target.blob(self.shared, source, blob)).await? {
            // A blob that is there is mounted like one that is not.
            if matches!(outcome, Outcome::Copied) {
                self.sent.store(true, Ordering::Relaxed);
            }
            self.shared.tell(&Event::Blob { blob, outcome });
        }
        Ok(())
    }
}

fn same(layer: &Descriptor) -> (Digest, u64) {
    (layer.digest.clone(), layer.size)
}
