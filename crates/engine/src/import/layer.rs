//! The tar of an import on its way to a staged layer.

use std::io::{self, BufReader, Cursor, Read, Write as _};

use archive::{ArchiveError, Compression, GzipEncoder, LAYER_LEVEL, Unpacked};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use registry::Download;
use spec::{Algorithm, DiffId};
use store::{BlobWriter, Commit, DriverKind, LayerRecord, Lease, StagedLayer, Store, VerifiedBlob};

use crate::progress::ProgressEvent;
use crate::{EngineError, Progress, Result, space};

/// Bytes that are decompressed at once.
const BUFFER: usize = 256 << 10;

/// A layer that is ready to be published.
pub(super) struct Staged {
    layer: StagedLayer,
    record: LayerRecord,
    blob: Option<VerifiedBlob>,
}

impl Staged {
    /// Returns the hash of the tar.
    pub(super) fn diff_id(&self) -> DiffId {
        self.record.diff_id.clone()
    }

    /// Begins a commit with the layer.
    pub(super) fn commit(self) -> Commit {
        let layers = vec![(self.layer, self.record)];
        Commit { layers, blobs: self.blob.into_iter().collect(), ..Commit::default() }
    }
}

/// Reads a tar, compressed or not, to its end into a staged layer. Blocking.
///
/// Where layers are kept packed, they are kept gzipped whatever they came in: any registry and any tool takes that.
pub(super) fn stage(store: &Store, lease: &Lease, mut source: impl Read + Send) -> Result<Staged> {
    let failed = |error| {
        let what = || "failed to import the layer".to_owned();
        space::no_space(what, store.root(), &error).unwrap_or(EngineError::ImportLayer(error))
    };
    let layer = store.stage(lease)?;
    let options = space::apply_options(store)?;
    let (unpacked, blob) = match store.driver() {
        DriverKind::Overlay2 => {
            let tar_split = layer.tar_split()?;
            let unpacked =
                archive::unpack(source, layer.path(), tar_split, None, &options, &|_| {});
            (unpacked.map_err(failed)?, None)
        }
        DriverKind::Packed => {
            let mut prefix = Vec::new();
            let read = source.by_ref().take(Compression::PREFIX).read_to_end(&mut prefix);
            read.map_err(|error| failed(ArchiveError::Read(error)))?;
            let compression = Compression::detect(&prefix);
            let source = BufReader::with_capacity(BUFFER, Cursor::new(prefix).chain(source));
            let tar = archive::decoder(compression, source).map_err(failed)?;
            let writer = store.blob_writer(lease, Algorithm::Sha256)?;
            let (unpacked, writer) = pack(writer, tar, options.max_tar_size).map_err(failed)?;
            (unpacked, Some(writer.finish()))
        }
    };
    let record = LayerRecord {
        diff_id: unpacked.applied.diff_id,
        parent: None,
        size: unpacked.applied.size,
        blob: blob.as_ref().map(|blob| blob.digest().clone()),
    };
    Ok(Staged { layer, record, blob })
}

/// Compresses a tar into a blob while it is looked through.
fn pack(
    writer: BlobWriter,
    tar: impl Read + Send,
    limit: Option<u64>,
) -> Result<(Unpacked, BlobWriter), ArchiveError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let encoder = GzipEncoder::new(writer, LAYER_LEVEL, threads).map_err(ArchiveError::Sink)?;
    let mut tee = Tee { tar, encoder };
    let compression = Some(Compression::None);
    let unpacked = archive::inspect_compressed(&mut tee, compression, limit, &|_| {})?;
    Ok((unpacked, tee.encoder.finish().map_err(ArchiveError::Sink)?))
}

/// Hands on what it reads to a compressor, too.
struct Tee<R> {
    tar: R,
    encoder: GzipEncoder<BlobWriter>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.tar.read(buffer)?;
        self.encoder.write_all(&buffer[..length])?;
        Ok(length)
    }
}

/// Returns what a URL gives, piece by piece, and tells how far it is.
pub(super) fn pieces(
    download: Download,
    progress: Progress,
) -> BoxStream<'static, io::Result<Bytes>> {
    let total = download.length;
    let next = move |(mut download, received): (Download, u64)| {
        let progress = progress.clone();
        async move {
            let piece = download.chunk().await.map_err(io::Error::other)?;
            Ok(piece.map(|piece| {
                let current = received + piece.len() as u64;
                progress.report(ProgressEvent::Importing { current, total });
                (piece, (download, current))
            }))
        }
    };
    stream::try_unfold((download, 0), next).boxed()
}
