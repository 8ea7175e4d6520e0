//! A layer in another compression: a file without a name for as long as somebody reads it, made anew where it is gone.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use archive::{ArchiveError, recompress};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use spec::{Algorithm, Descriptor, DiffId, Digest, Hasher};
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::mpsc::{Receiver, channel};

use super::LayerEncoding;
use crate::error::Result;
use crate::feed::Feed;
use crate::files::blocking::blocking;
use crate::files::region::Region;
use crate::lock::lock;
use crate::source::{Derived, Source};
use crate::{CopyError, Report};

/// Pieces of a layer that wait to be compressed.
const WAITING: usize = 8;

/// The machine's part in compressing a layer.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    /// Threads that compress one layer.
    pub(crate) threads: usize,
    /// The folder of the files.
    pub(crate) scratch: PathBuf,
}

/// A layer of `source` that is compressed anew. The same layer gives the same bytes whenever it is made.
pub(crate) struct Recompressed {
    source: Source,
    layer: Descriptor,
    encoding: LayerEncoding,
    resources: Resources,
    report: Arc<Report>,
    made: Mutex<Weak<File>>,
    /// Held by whoever makes the file.
    making: AsyncMutex<()>,
}

/// The bytes of a layer as they were made.
pub(crate) struct Bytewise {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) diff_id: DiffId,
    /// Keeps the file.
    pub(crate) file: Arc<File>,
}

impl std::fmt::Debug for Recompressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recompressed").field("layer", &self.layer.digest).finish_non_exhaustive()
    }
}

impl Recompressed {
    pub(crate) fn new(
        source: &Source,
        layer: &Descriptor,
        encoding: LayerEncoding,
        resources: &Resources,
        report: &Arc<Report>,
    ) -> Self {
        Self {
            source: source.clone(),
            layer: layer.clone(),
            encoding,
            resources: resources.clone(),
            report: Arc::clone(report),
            made: Mutex::default(),
            making: AsyncMutex::default(),
        }
    }

    /// Returns the file, if somebody keeps it.
    pub(crate) fn kept(&self) -> Option<Arc<File>> {
        lock(&self.made).upgrade()
    }

    /// Returns the file, made anew if nobody keeps it.
    pub(crate) async fn keep(&self) -> Result<Arc<File>> {
        let _making = self.making.lock().await;
        match self.kept() {
            Some(file) => Ok(file),
            None => Ok(self.make().await?.file),
        }
    }

    /// Compresses the layer into a file. Its digest as it was is checked, too.
    pub(crate) async fn make(&self) -> Result<Bytewise> {
        let (sender, receiver) = channel(WAITING);
        let (Resources { threads, scratch }, encoding) = (self.resources.clone(), self.encoding);
        let (place, layer) = (self.source.to_string(), self.layer.digest.clone());
        let pieces = Pieces { receiver, piece: Bytes::new() };
        let making = blocking(move || {
            let aside = |source| CopyError::Aside {
                place: place.clone(),
                layer: layer.clone(),
                folder: scratch.display().to_string(),
                source,
            };
            let file = tempfile::tempfile_in(&scratch).map_err(aside)?;
            let mut sink = Hashing { sink: BufWriter::new(file), hasher: sha256(), size: 0 };
            let diff_id =
                recompress(pieces, &mut sink, encoding.0, threads).map_err(
                    |error| match error {
                        ArchiveError::Sink(source) => aside(source),
                        error => CopyError::Recompress {
                            place: place.clone(),
                            layer: layer.clone(),
                            source: Box::new(error),
                        },
                    },
                )?;
            let file = sink.sink.into_inner().map_err(|error| aside(error.into_error()))?;
            Ok::<_, CopyError>((diff_id, file, sink.hasher.finish(), sink.size))
        });
        let feeding = async move {
            let mut feed = Feed::new(&self.source, &self.layer, &self.report);
            while let Some(piece) = feed.next(self.layer.size).await? {
                // Who cannot decompress it says why.
                if sender.send(piece).await.is_err() {
                    return Ok(());
                }
            }
            feed.finish()
        };
        let (fed, made) = tokio::join!(feeding, making);
        fed?;
        let (diff_id, file, digest, size) = made?;
        let file = Arc::new(file);
        *lock(&self.made) = Arc::downgrade(&file);
        Ok(Bytewise { digest, size, diff_id, file })
    }
}

impl Derived for Recompressed {
    fn source(&self) -> &Source {
        &self.source
    }

    fn open(&self, size: u64) -> BoxFuture<'_, Result<Region>> {
        async move {
            let file = self.keep().await?;
            Ok(Region { file, start: 0, size })
        }
        .boxed()
    }
}

fn sha256() -> Hasher {
    Hasher::new(Algorithm::Sha256)
}

/// Reads what comes, on a thread that may wait.
struct Pieces {
    receiver: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// Hashes and counts what is written.
struct Hashing<W> {
    sink: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
