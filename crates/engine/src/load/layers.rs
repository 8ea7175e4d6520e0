//! The layers of an image of an archive: those that are not here are unpacked, several at once.

use std::fs::File;
use std::io;
use std::sync::Arc;

use archive::{ArchiveError, Compression, Unpacked};
use futures_util::future::try_join_all;
use spec::{Algorithm, Digest};
use store::{DriverKind, LayerRecord, Lease, StagedLayer, Store, VerifiedBlob};

use super::arrived::Arrived;
use super::operation::Load;
use super::plain::{PlainFile, not_taken_in};
use super::plan::PlannedLayer;
use super::stored::StoredFile;
use crate::cancel::{CancelOnDrop, Cancelled};
use crate::error::{BadArchive, Missing};
use crate::save::documents::blob_path;
use crate::space::Coming;
use crate::{EngineError, LayerFacts, LayerState, Progress, Result, layer, space};

/// The outcome of a layer.
#[derive(Debug)]
pub(super) struct LoadedLayer {
    pub(super) staged: Option<(StagedLayer, LayerRecord)>,
    /// Its file in the archive, if that is kept.
    pub(super) blob: Option<VerifiedBlob>,
}

impl Load<'_> {
    /// Tells which layers of an image are here.
    pub(super) fn tell_sizes(&self, layers: &[PlannedLayer]) {
        for layer in layers {
            let size = layer.file.as_ref().map_or(0, StoredFile::size);
            let facts =
                if layer.present { LayerFacts::here(size) } else { LayerFacts::wanted(size) };
            self.layer_progress.facts(&layer.diff_id.digest().short(), facts);
        }
    }

    pub(super) async fn layers(&self, layers: Vec<PlannedLayer>) -> Result<Vec<LoadedLayer>> {
        let needed: Vec<_> = layers.into_iter().filter(|layer| !layer.is_ready()).collect();
        let needed = self.with_own_files(needed).await?;
        let coming = coming(&needed, self.engine.store().driver());
        self.engine.on_disk(move |store| space::require(store, &coming)).await?;
        try_join_all(needed.into_iter().map(|layer| self.layer(layer))).await
    }

    /// Of layers that are one file, unpacked already, the last takes it: the others get it put together again.
    async fn with_own_files(&self, mut layers: Vec<PlannedLayer>) -> Result<Vec<PlannedLayer>> {
        let lease = Arc::clone(&self.lease);
        let (_cancel, cancelled) = CancelOnDrop::new();
        let is_same = |a: &PlannedLayer, b: &PlannedLayer| {
            let (a, b) = (a.file.as_ref(), b.file.as_ref());
            let both = a.and_then(StoredFile::arrived).zip(b.and_then(StoredFile::arrived));
            both.is_some_and(|(a, b)| Arc::ptr_eq(a, b))
        };
        self.engine
            .on_disk(move |store| {
                for index in 0..layers.len() {
                    let (layer, others) = layers[index..].split_at_mut(1);
                    let layer = &mut layer[0];
                    if others.iter().any(|other| is_same(layer, other))
                        && let Some(file) = &mut layer.file
                    {
                        let digest = layer.diff_id.digest();
                        *file =
                            StoredFile::Plain(file.plain((store, &lease), digest, &cancelled)?);
                    }
                }
                Ok(layers)
            })
            .await
    }

    async fn layer(&self, planned: PlannedLayer) -> Result<LoadedLayer> {
        let _permit = self.engine.unpacker().await?;
        let Some(file) = planned.file.clone() else { return self.prove(planned).await };
        let (_cancel, cancelled) = CancelOnDrop::new();
        let lease = Arc::clone(&self.lease);
        let progress = self.layer_progress.clone();
        let loaded = self
            .engine
            .on_disk(move |store| {
                let loaded = planned.load((store, &lease), &file, &cancelled, &progress);
                loaded.map_err(|error| planned.explain(error, &file, &cancelled))
            })
            .await?;
        self.engine.flush_soon();
        Ok(loaded)
    }
}

impl Load<'_> {
    /// Compares a kept blob with the layer that a manifest takes it for.
    async fn prove(&self, planned: PlannedLayer) -> Result<LoadedLayer> {
        let (_cancel, cancelled) = CancelOnDrop::new();
        let proved = self.engine.on_disk(move |store| {
            let Some(digest) = &planned.unproved else { return Ok(()) };
            let missing = || EngineError::Missing(Missing::BlobGone(digest.clone()));
            let blob = store.blob(digest)?.ok_or_else(missing)?;
            let failed = |source| EngineError::Open { path: blob.path.clone(), source };
            let file = cancelled.guard(File::open(&blob.path).map_err(failed)?);
            let unpacked = layer::inspect(store, file, planned.diff_id.digest(), &|_| {})?;
            planned.check(&unpacked, None)
        });
        proved.await?;
        Ok(LoadedLayer { staged: None, blob: None })
    }

    /// Makes blobs of files that no layer of the image is made of. They are named by what index and manifests say, and hashed.
    pub(super) async fn blobs(&self, files: Vec<(Digest, StoredFile)>) -> Result<Vec<LoadedLayer>> {
        let copied = files.iter().map(|(_, file)| file.bytes_to_copy());
        let coming: Vec<_> = copied.map(|copied| Coming { blob: None, size: 0, copied }).collect();
        self.engine.on_disk(move |store| space::require(store, &coming)).await?;
        try_join_all(files.into_iter().map(|(digest, file)| self.blob(digest, file))).await
    }

    async fn blob(&self, digest: Digest, file: StoredFile) -> Result<LoadedLayer> {
        let _permit = self.engine.unpacker().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let lease = Arc::clone(&self.lease);
        self.engine
            .on_disk(move |store| {
                let file = file.plain((store, &lease), &digest, &cancelled)?;
                let blob = whole_blob(store, &lease, &file, digest.algorithm(), cancelled)?;
                let blob = blob.filter(|blob| *blob.digest() == digest);
                let fault = || EngineError::BadArchive(BadArchive::Content(blob_path(&digest)));
                Ok(LoadedLayer { staged: None, blob: Some(blob.ok_or_else(fault)?) })
            })
            .await
    }
}

impl PlannedLayer {
    /// Unpacks the layer, or looks it through. Blocking.
    fn load(
        &self,
        (store, lease): (&Store, &Lease),
        file: &StoredFile,
        cancelled: &Cancelled,
        progress: &Progress,
    ) -> Result<LoadedLayer> {
        if let Some(arrived) = file.arrived().filter(|_| !self.present)
            && let Some(loaded) = self.take((store, lease), arrived, progress, cancelled)?
        {
            return Ok(loaded);
        }
        let digest = self.diff_id.digest();
        let file = file.plain((store, lease), digest, cancelled)?;
        let keeps_blob = keeps_blob(self, store.driver());
        let mut source = match self.algorithm(keeps_blob) {
            Some(algorithm) if keeps_blob => file.blob_reader(store, lease, algorithm)?,
            algorithm => file.reader(algorithm)?,
        };
        let guarded = cancelled.clone().guard(&mut source);
        if self.present {
            let unpacked = layer::inspect(store, guarded, digest, &|_| {})?;
            let read = source.finish()?;
            self.check(&unpacked, read.digest.as_ref())?;
            return Ok(LoadedLayer { staged: None, blob: read.blob });
        }
        let staged = store.stage(lease)?;
        let (label, total) = (digest.short(), file.size());
        let report = |current| progress.layer(&label, LayerState::Loading { current, total });
        let unpacked = layer::unpack(store, &staged, guarded, digest, &report)?;
        let read = source.finish()?;
        self.check(&unpacked, read.digest.as_ref())?;
        let blob = read.blob.filter(|_| keeps_blob);
        let record = self.record(&unpacked, blob.as_ref());
        Ok(LoadedLayer { staged: Some((staged, record)), blob })
    }

    /// Says of a layer that cannot be unpacked that its file is not what it is called, if that is so. Blocking.
    fn explain(&self, error: EngineError, file: &StoredFile, cancelled: &Cancelled) -> EngineError {
        let (EngineError::Layer { .. }, StoredFile::Plain(file)) = (&error, file) else {
            return error;
        };
        let Some(expected) = &self.expected else { return error };
        let read = || {
            let mut reader = file.reader(Some(expected.algorithm())).ok()?;
            io::copy(&mut cancelled.clone().guard(&mut reader), &mut io::sink()).ok()?;
            reader.finish().ok()?.digest
        };
        match read() {
            Some(actual) if actual != *expected => {
                EngineError::BadArchive(BadArchive::Content(blob_path(expected)))
            }
            _ => error,
        }
    }

    /// Takes what the file was unpacked to when it came; `None` if another layer has that.
    fn take(
        &self,
        (store, lease): (&Store, &Lease),
        arrived: &Arrived,
        progress: &Progress,
        cancelled: &Cancelled,
    ) -> Result<Option<LoadedLayer>> {
        let digest = self.diff_id.digest();
        if !arrived.is_free(store, digest)? {
            return Ok(None);
        }
        let mut blob = None;
        if let Some(algorithm) = self.algorithm(true).filter(|_| self.keep) {
            let file = PlainFile::Disk(arrived.spill((store, lease), digest, cancelled)?);
            blob = whole_blob(store, lease, &file, algorithm, cancelled.clone())?;
        }
        let taken = arrived.take(store, &self.chain_id, digest)?;
        let Some((staged, unpacked, actual)) = taken else { return Ok(None) };
        self.check(&unpacked, Some(&actual))?;
        let total = arrived.size();
        progress.layer(&digest.short(), LayerState::Loading { current: total, total });
        let record = self.record(&unpacked, blob.as_ref());
        Ok(Some(LoadedLayer { staged: Some((staged, record)), blob }))
    }

    fn record(&self, unpacked: &Unpacked, blob: Option<&VerifiedBlob>) -> LayerRecord {
        LayerRecord {
            diff_id: self.diff_id.clone(),
            parent: self.parent.clone(),
            size: unpacked.applied.size,
            blob: blob.map(|blob| blob.digest().clone()),
        }
    }

    /// Returns how the file must be hashed, beyond what finding out its diff ID takes.
    fn algorithm(&self, keeps_blob: bool) -> Option<Algorithm> {
        let expected = self.expected.as_ref().map(Digest::algorithm);
        let is_diff_id = self.expected.as_ref() == Some(self.diff_id.digest());
        expected.filter(|_| keeps_blob || !is_diff_id).or(keeps_blob.then_some(Algorithm::Sha256))
    }

    /// Compares what was unpacked, and the file by its digest if it was hashed, with what they should be.
    fn check(&self, unpacked: &Unpacked, digest: Option<&Digest>) -> Result<()> {
        let actual = &unpacked.applied.diff_id;
        if *actual != self.diff_id {
            let (index, expected) = (self.index, self.diff_id.clone());
            let fault = BadArchive::DiffId { index, expected, actual: actual.clone() };
            return Err(EngineError::BadArchive(fault));
        }
        let plain = (unpacked.compression == Compression::None).then(|| actual.digest());
        let (Some(expected), digest) = (&self.expected, digest.or(plain)) else { return Ok(()) };
        if digest == Some(expected) {
            return Ok(());
        }
        let detail = match digest {
            Some(digest) => format!("its bytes in the archive hash to {digest}"),
            None => format!(
                "it is that of the layer before it was compressed ({})",
                unpacked.compression
            ),
        };
        Err(EngineError::LayerVerification { digest: expected.clone(), detail })
    }
}

/// Reads a file to its end, which makes a blob of it. Blocking.
fn whole_blob(
    store: &Store,
    lease: &Lease,
    file: &PlainFile,
    algorithm: Algorithm,
    cancelled: Cancelled,
) -> Result<Option<VerifiedBlob>> {
    let mut source = file.blob_reader(store, lease, algorithm)?;
    let read = io::copy(&mut cancelled.guard(&mut source), &mut io::sink());
    read.map_err(|error| not_taken_in(store, ArchiveError::Read(error)))?;
    Ok(source.finish()?.blob)
}

/// Says whether a layer's file becomes a blob of the store.
fn keeps_blob(layer: &PlannedLayer, driver: DriverKind) -> bool {
    layer.keep || driver == DriverKind::Packed
}

/// Lists what takes room on the disk: layers that are to be unpacked, and files that are kept and not there yet.
fn coming(layers: &[PlannedLayer], driver: DriverKind) -> Vec<Coming<'static>> {
    let files = layers.iter().filter_map(|layer| Some((layer, layer.file.as_ref()?)));
    files
        .map(|(layer, file)| Coming {
            blob: None,
            size: if layer.present { 0 } else { file.bytes_to_unpack() },
            copied: if keeps_blob(layer, driver) { file.bytes_to_copy() } else { 0 },
        })
        .collect()
}
