//! Images of schema 1: a list of layers and their history, of which the config is made here.
//!
//! A config names the tars of its layers, and the manifest only their blobs. So those that nobody has seen before are downloaded and looked
//! through first. From then on the image is one like others: the layers' jobs join the downloads, and what is kept of it is the manifest
//! of schema 2 that a push of it sends.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use spec::{Descriptor, DiffId, Digest, ImageId, Manifest, MediaType, Raw, Reference};

use super::begin::Begun;
use super::manifest::{FirstSchema, Resolved};
use super::operation::Pull;
use crate::cancel::CancelOnDrop;
use crate::document::Document;
use crate::error::Missing;
use crate::progress::ProgressEvent;
use crate::space::{self, Coming};
use crate::transfer::{Download, Watcher};
use crate::{EngineError, LayerFacts, LayerState, Progress, Result, layer};

/// Sizes of blobs that are asked for at once.
const SIZES_AT_ONCE: usize = 4;

/// The blob of a layer, as far as the store knows it.
struct Known {
    digest: Digest,
    /// The size of a blob that is kept.
    kept: Option<u64>,
    diff_id: Option<DiffId>,
}

/// A layer of which all is known that a config and a manifest say.
struct Identified {
    descriptor: Descriptor,
    diff_id: DiffId,
    download: Option<Download>,
}

impl Pull {
    /// Makes the config of an image of schema 1, and the manifest that it would have had.
    pub(super) async fn begin_first_schema(
        &self,
        found: FirstSchema,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<Begun> {
        let FirstSchema { descriptor, manifest } = found;
        progress.report(ProgressEvent::FirstSchema { reference: reference.to_string() });
        let blobs: Vec<&Digest> = manifest.layers().collect();
        self.engine.store().check_depth(blobs.len()).map_err(EngineError::RegisterLayer)?;
        let identified = self.identify_all(&blobs, progress).await?;
        let of = |blob: &&Digest| {
            let missing = || EngineError::Missing(Missing::Blob(Digest::clone(blob)));
            identified.get(*blob).ok_or_else(missing)
        };
        let layers = blobs.iter().map(of).collect::<Result<Vec<_>>>()?;
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let descriptors: Vec<_> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let config = Bytes::from(manifest.config(&diff_ids)?);
        let id = ImageId::new(Digest::sha256(&config));
        self.hold_image(&id).await?;
        let made = Document::make(id.digest().clone(), config.len() as u64, &descriptors)?;
        let digest = descriptor.digest;
        let manifest = read(made, reference)?;
        let resolved = Resolved { digest, indexes: Vec::new(), manifest };
        let ahead = identified.into_iter();
        let ahead = ahead.filter_map(|(digest, layer)| Some((digest, layer.download?))).collect();
        match self.checked(&resolved, config, reference, progress).await {
            Ok((config, parts)) => {
                // Who vouches for the manifest that came vouches for none that is made of it.
                let (is_told, findings) = (true, Vec::new());
                Ok(Begun { resolved, id, config, ahead, is_told, parts, findings, _cell: None })
            }
            Err(error) => {
                self.give_up(ahead).await;
                Err(error)
            }
        }
    }

    /// Finds out the size of each blob and the diff ID of its layer. What nobody has seen before is downloaded.
    async fn identify_all(
        &self,
        blobs: &[&Digest],
        progress: &Progress,
    ) -> Result<HashMap<Digest, Identified>> {
        let mut seen = HashSet::new();
        let unique: Vec<Digest> = blobs
            .iter()
            .filter(|blob| seen.insert(**blob))
            .map(|blob| Digest::clone(blob))
            .collect();
        let lease = Arc::clone(&self.lease);
        let known = self.engine.on_disk(move |store| {
            let look = |digest: Digest| {
                lease.hold_blob(&digest)?;
                let kept = store.blob(&digest)?.map(|blob| blob.size);
                Ok(Known { kept, diff_id: store.diff_id_of(&digest)?, digest })
            };
            unique.into_iter().map(look).collect::<Result<Vec<_>>>()
        });
        let sized: Vec<_> = known.await?.into_iter().map(|known| self.sized(known)).collect();
        let sized: Vec<(Known, Descriptor)> =
            stream::iter(sized).buffered(SIZES_AT_ONCE).try_collect().await?;
        let coming =
            |(known, _): &&(Known, Descriptor)| known.diff_id.is_none() && known.kept.is_none();
        let coming: Vec<_> = sized.iter().filter(coming).map(|(_, blob)| blob.clone()).collect();
        for blob in &coming {
            progress.facts(&blob.digest.short(), LayerFacts::wanted(blob.size));
            progress.layer(&blob.digest.short(), LayerState::PullingFsLayer);
        }
        self.engine
            .on_disk(move |store| {
                let coming: Vec<_> = coming.iter().map(Coming::fetched).collect();
                space::require(store, &coming)
            })
            .await?;
        // As many as may be under way, and one that waits: a file is open for each.
        let at_once = self.engine.network().limits.downloads.saturating_add(1);
        let layers: Vec<_> =
            sized.into_iter().map(|(known, blob)| self.identify(known, blob, progress)).collect();
        let layers = stream::iter(layers).buffer_unordered(at_once);
        layers.map_ok(|layer| (layer.descriptor.digest.clone(), layer)).try_collect().await
    }

    /// Asks for the size of a blob that is not kept: the manifest does not say it.
    async fn sized(&self, known: Known) -> Result<(Known, Descriptor)> {
        let size = match known.kept {
            Some(size) => Some(size),
            None => self.remote.blob_size(&known.digest).await.map_err(EngineError::Registry)?,
        };
        let missing = || EngineError::Missing(Missing::Blob(known.digest.clone()));
        let size = size.ok_or_else(missing)?;
        let descriptor = Descriptor::new(MediaType::DockerLayerGzip, known.digest.clone(), size);
        Ok((known, descriptor))
    }

    /// Finds out the diff ID of a layer.
    async fn identify(
        &self,
        known: Known,
        descriptor: Descriptor,
        progress: &Progress,
    ) -> Result<Identified> {
        if let Some(diff_id) = known.diff_id {
            return Ok(Identified { descriptor, diff_id, download: None });
        }
        if known.kept.is_some()
            && let Some(diff_id) = self.look_through_kept(&known.digest).await?
        {
            return Ok(Identified { descriptor, diff_id, download: None });
        }
        let watcher =
            Watcher::Arrival { progress: progress.clone(), id: descriptor.digest.short() };
        let download =
            self.engine.fetch_blob(&self.remote, &descriptor, &self.lease, watcher).await?;
        let _permit = self.engine.unpacker().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let digest = known.digest;
        let (diff_id, download) = self
            .engine
            .on_disk(move |store| {
                let source = cancelled.guard(download.handle().ingest().reader());
                let looked = layer::inspect(store, source, &digest, &|_| {})?;
                Ok((looked.applied.diff_id, download))
            })
            .await?;
        Ok(Identified { descriptor, diff_id, download: Some(download) })
    }

    /// Returns the diff ID of a layer whose blob is kept; nothing if the blob is damaged, and then it is kept no longer.
    async fn look_through_kept(&self, digest: &Digest) -> Result<Option<DiffId>> {
        let _permit = self.engine.unpacker().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let digest = digest.clone();
        self.engine
            .on_disk(move |store| {
                let Some(blob) = store.blob(&digest)? else { return Ok(None) };
                let open = |source| EngineError::Open { path: blob.path.clone(), source };
                let file = File::open(&blob.path).map_err(open)?;
                match layer::inspect(store, cancelled.guard(file), &digest, &|_| {}) {
                    Ok(looked) => Ok(Some(looked.applied.diff_id)),
                    Err(_) if store.discard_blob_if_damaged(&digest)? => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await
    }
}

/// Reads a manifest that was made here as one that comes from elsewhere: with all its bounds.
fn read(made: Document, reference: &Reference) -> Result<Raw<spec::ImageManifest>> {
    let refused = |source| EngineError::Manifest { reference: reference.familiar(), source };
    let media_type = made.media_type;
    Raw::parse(made.bytes, |bytes| match Manifest::parse(Some(&media_type), bytes) {
        Ok(Manifest::Image(manifest)) => Ok(*manifest),
        Ok(Manifest::Index(index)) => {
            Err(refused(spec::ManifestError::MediaType(index.media_type)))
        }
        Err(source) => Err(refused(source)),
    })
}
