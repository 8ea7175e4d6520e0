//! From a plan to bytes, on a blocking thread.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use archive::{TarEntry, TarWriter};
use bytes::{Bytes, BytesMut};
use spec::{ChainId, DiffId, Digest};
use store::{Lease, Store};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::parts::LayerSource;
use super::plan::{Content, Plan, PlannedFile};
use crate::error::{Defect, Missing};
use crate::{EngineError, Result};

/// Bytes that are handed on at once.
const CHUNK: usize = 256 << 10;
/// Chunks that wait for a slow client.
const WAITING: usize = 4;

/// Output of the thread: a piece, or `None` at the end. A channel that closes without that was broken off.
pub(super) type Piece = Result<Option<Bytes>>;

/// Writes the archive on a blocking thread, which ends early when the receiver is dropped.
pub(super) fn start(store: Store, lease: Arc<Lease>, plan: Plan) -> Receiver<Piece> {
    let (sender, receiver) = channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let sink = Chunks { sender: sender.clone(), buffer: BytesMut::with_capacity(CHUNK) };
        let end = write(&store, sink, &plan).map(|()| None);
        // Nobody may be waiting any more.
        let _ = sender.blocking_send(end);
        drop(lease);
    });
    receiver
}

fn write(store: &Store, sink: Chunks, plan: &Plan) -> Result<()> {
    let mut tar = TarWriter::new(sink);
    for (name, file) in &plan.files {
        let PlannedFile { mode, modified, size, content } = file;
        let entry = TarEntry { name, mode: *mode, modified: *modified, size: *size };
        tar.start(&entry).map_err(gone)?;
        match content {
            Content::Directory => {}
            Content::Bytes(bytes) => tar.write_content(bytes).map_err(gone)?,
            Content::Layer(LayerSource::Blob(digest)) => copy_blob(store, digest, &mut tar)?,
            Content::Layer(LayerSource::Directory(chain, diff_id)) => {
                rebuild(store, chain, diff_id, &mut tar)?;
            }
        }
    }
    tar.finish().map(drop).map_err(gone)
}

/// The one failure of the sink is that nobody reads it; the other one is a layer that is not as long as it was.
fn gone(error: io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => EngineError::Cancelled,
        _ => EngineError::Internal(Defect::Write(error)),
    }
}

/// Copies a blob and makes sure that it is what it is called.
fn copy_blob(store: &Store, digest: &Digest, tar: &mut TarWriter<Chunks>) -> Result<()> {
    let missing = || EngineError::Missing(Missing::Blob(digest.clone()));
    let blob = store.blob(digest)?.ok_or_else(missing)?;
    let failed = |source| EngineError::Open { path: blob.path.clone(), source };
    let mut file = File::open(&blob.path).map_err(failed)?;
    let mut hasher = digest.hasher();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        hasher.update(&buffer[..read]);
        tar.write_content(&buffer[..read]).map_err(gone)?;
    }
    let actual = hasher.finish();
    if actual == *digest {
        return Ok(());
    }
    let detail = format!("the kept blob hashes to {actual}: pull the image again");
    Err(EngineError::LayerVerification { digest: digest.clone(), detail })
}

fn rebuild(
    store: &Store,
    chain: &ChainId,
    diff_id: &DiffId,
    tar: &mut TarWriter<Chunks>,
) -> Result<()> {
    let missing = || EngineError::Missing(Missing::Layer(chain.clone()));
    let root = store.layer_path(chain)?.ok_or_else(missing)?;
    let tar_split = store.tar_split(chain)?.ok_or_else(missing)?;
    let digest = diff_id.digest().clone();
    let rebuilt = archive::rebuild(tar_split, &root, tar).map_err(|source| match source {
        archive::ArchiveError::Sink(source) => gone(source),
        source => EngineError::ReadLayer { digest: digest.clone(), source },
    })?;
    if rebuilt == *diff_id {
        return Ok(());
    }
    let detail = format!("the layer's directory gives {rebuilt}");
    Err(EngineError::LayerVerification { digest, detail })
}

/// Collects what is written and sends it in large pieces.
struct Chunks {
    sender: Sender<Piece>,
    buffer: BytesMut,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(length)
    }

    /// Only the end is worth a smaller piece.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(Some(full.freeze())))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
