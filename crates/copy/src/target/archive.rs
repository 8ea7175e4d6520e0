//! An archive, written from its beginning to its end: to a file, or to whoever reads a stream.
//!
//! Every archive is an OCI image layout. One for docker has a `manifest.json` as well, which names the same files: docker and
//! podman load it, and what it holds keeps its digests.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{TarEntry, TarWriter};
use bytes::Bytes;
use serde::Serialize;
use spec::{Descriptor, Digest, ImageManifest, Manifest, MediaType, Platform, Reference, Tag};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::layout::index;
use crate::CopyError;
use crate::error::Result;
use crate::feed::Feed;
use crate::place::Selection;
use crate::progress::Outcome;
use crate::shared::Shared;
use crate::source::Source;
use crate::source::layout::{MARK, NAME_ANNOTATIONS, blob_path};

/// Pieces of a blob that wait to be written.
const WAITING: usize = 8;

/// Destination of an archive.
pub(crate) enum Output {
    /// To a file, which is there when all of it is.
    File(PathBuf),
    /// To whoever reads.
    Stream(Box<dyn Write + Send>),
}

#[derive(Clone)]
pub(crate) struct ArchiveTarget {
    place: Arc<str>,
    /// The name of the image in the layout, and for docker.
    name: Option<String>,
    tags: Option<Vec<String>>,
    state: Arc<Mutex<State>>,
}

struct State {
    output: Option<Output>,
    writer: Option<Writer>,
    written: HashSet<Digest>,
    /// The documents by which `manifest.json` is made.
    manifests: BTreeMap<Digest, Manifest>,
    roots: Vec<Descriptor>,
}

struct Writer {
    sender: Sender<Command>,
    done: JoinHandle<io::Result<()>>,
}

enum Command {
    Start(String, u64),
    Data(Bytes),
    End,
}

/// The depth to which indexes are looked into for what docker reads.
const MAX_DEPTH: usize = 4;

/// An image of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl fmt::Display for ArchiveTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for ArchiveTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArchiveTarget").field(&self.place).finish()
    }
}

impl ArchiveTarget {
    pub(crate) fn oci(place: String, output: Output, name: &Selection) -> Self {
        Self::new(place, output, name.name().map(str::to_owned), None)
    }

    pub(crate) fn docker(place: String, output: Output, name: Option<&Reference>) -> Self {
        let name = name.map(|name| name.clone().with_default_tag());
        let tags = name.iter().map(Reference::familiar).collect();
        let tag = name.as_ref().and_then(Reference::tag).map(ToString::to_string);
        Self::new(place, output, tag, Some(tags))
    }

    fn new(place: String, output: Output, name: Option<String>, tags: Option<Vec<String>>) -> Self {
        let state = State {
            output: Some(output),
            writer: None,
            written: HashSet::new(),
            manifests: BTreeMap::new(),
            roots: Vec::new(),
        };
        Self { place: place.into(), name, tags, state: Arc::new(Mutex::new(state)) }
    }

    /// Returns the same archive, with another name for the next image of a layout.
    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        match self.tags {
            None => Self { name: Some(tag.to_string()), ..self.clone() },
            Some(_) => self.clone(),
        }
    }

    pub(crate) fn unnamed(&self) -> Self {
        Self { name: None, ..self.clone() }
    }

    /// Says whether the next image gets a name in a layout.
    pub(crate) fn is_named_layout(&self) -> bool {
        self.tags.is_none() && self.name.is_some()
    }

    pub(crate) fn key(&self) -> String {
        self.place.to_string()
    }

    pub(crate) async fn blob(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
    ) -> Result<Option<Outcome>> {
        if self.tags.is_none() && !blob.urls.is_empty() {
            return Ok(Some(Outcome::LeftToItsUrls));
        }
        // One after the other, as the archive has them.
        let mut state = self.state.lock().await;
        if state.written.contains(&blob.digest) {
            return Ok(None);
        }
        if shared.mode.dry {
            state.written.insert(blob.digest.clone());
            return Ok(Some(Outcome::Copied));
        }
        let _turn = shared.budget.turn(&[source.host()]).await;
        let mut feed = Feed::new(source, blob, &shared.report);
        // Before the header is written: what cannot be had at all leaves the archive as it was.
        let mut piece = feed.next(blob.size).await?;
        if piece.is_none() {
            feed.finish()?;
        }
        self.send(&mut state, Command::Start(blob_path(&blob.digest), blob.size)).await?;
        while let Some(bytes) = piece {
            self.send(&mut state, Command::Data(bytes)).await?;
            piece = feed.next(blob.size).await?;
        }
        // Not before: what failed for one image is missing for the next that has it.
        state.written.insert(blob.digest.clone());
        Ok(Some(Outcome::Copied))
    }

    /// Says whether a blob was written so far.
    pub(crate) async fn has(&self, digest: &Digest) -> bool {
        self.state.lock().await.written.contains(digest)
    }

    pub(crate) async fn put(
        &self,
        is_root: bool,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<()> {
        let mut state = self.state.lock().await;
        if is_root {
            let mut entry = Descriptor::new(media_type.clone(), digest.clone(), bytes.len() as u64);
            if let Some(name) = &self.name {
                entry.annotations.insert(NAME_ANNOTATIONS[0].to_owned(), name.clone());
            }
            let full = self.tags.iter().flatten().next();
            if let Some(full) = full.and_then(|name| Reference::parse_familiar(name).ok()) {
                entry.annotations.insert(NAME_ANNOTATIONS[1].to_owned(), full.to_string());
            }
            state.roots.push(entry);
        }
        if self.tags.is_some()
            && let Ok(manifest) = Manifest::parse(Some(media_type), &bytes)
        {
            state.manifests.insert(digest.clone(), manifest);
        }
        if !state.written.insert(digest.clone()) {
            return Ok(());
        }
        self.file(&mut state, blob_path(digest), bytes).await
    }

    /// Writes the lists of the images, and the end.
    pub(crate) async fn finish(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.writer.is_none() {
            return Ok(());
        }
        let failed = |error: serde_json::Error| self.failed(error.into());
        if let Some(tags) = &self.tags {
            let images: Vec<Listed> =
                state.roots.iter().filter_map(|root| state.listed(&root.digest, tags)).collect();
            if images.len() < state.roots.len() {
                return Err(CopyError::NoDockerImage { place: self.place.to_string() });
            }
            let bytes = serde_json::to_vec(&images).map_err(failed)?;
            self.file(&mut state, "manifest.json".to_owned(), bytes.into()).await?;
        }
        self.file(&mut state, MARK.0.to_owned(), Bytes::from_static(MARK.1.as_bytes())).await?;
        let bytes = index(&state.roots).map_err(failed)?;
        self.file(&mut state, "index.json".to_owned(), bytes.into()).await?;
        self.send(&mut state, Command::End).await?;
        let Some(writer) = state.writer.take() else { return Ok(()) };
        drop(writer.sender);
        match writer.done.await {
            Ok(done) => done.map_err(|error| self.failed(error)),
            Err(error) => Err(self.failed(io::Error::other(error))),
        }
    }

    async fn file(&self, state: &mut State, name: String, bytes: Bytes) -> Result<()> {
        self.send(state, Command::Start(name, bytes.len() as u64)).await?;
        self.send(state, Command::Data(bytes)).await
    }

    async fn send(&self, state: &mut State, command: Command) -> Result<()> {
        if let Some(output) = state.output.take() {
            let (sender, receiver) = channel(WAITING);
            let done = tokio::task::spawn_blocking(move || write(output, receiver));
            state.writer = Some(Writer { sender, done });
        }
        let Some(writer) = &mut state.writer else {
            return Err(self.failed(io::Error::other("the archive has ended")));
        };
        if writer.sender.send(command).await.is_ok() {
            return Ok(());
        }
        // It ends before it was told to for one reason alone.
        let failure = match (&mut writer.done).await {
            Ok(Err(error)) => error,
            _ => io::Error::other("the archive has ended"),
        };
        state.writer = None;
        Err(self.failed(failure))
    }

    fn failed(&self, source: io::Error) -> CopyError {
        CopyError::Write { path: self.place.to_string(), source }
    }
}

impl State {
    /// Returns what docker reads of an image: of an index, the one for this machine, or the first.
    fn listed(&self, root: &Digest, tags: &[String]) -> Option<Listed> {
        let mut images = Vec::new();
        self.images(root, None, 0, &mut images);
        let (_, image) = images.into_iter().min_by_key(|(preference, _)| *preference)?;
        Some(Listed {
            config: blob_path(&image.config.digest),
            repo_tags: tags.to_vec(),
            layers: image.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
        })
    }

    /// Lists the images below a manifest, each with how well it suits this machine, less being better.
    fn images<'a>(
        &'a self,
        digest: &Digest,
        platform: Option<&Platform>,
        depth: usize,
        found: &mut Vec<(usize, &'a ImageManifest)>,
    ) {
        match self.manifests.get(digest) {
            Some(Manifest::Image(image)) => {
                let preference = platform.and_then(|offered| Platform::host().preference(offered));
                found.push((preference.unwrap_or(usize::MAX), image));
            }
            Some(Manifest::Index(index)) if depth < MAX_DEPTH => {
                for entry in &index.manifests {
                    self.images(&entry.digest, entry.platform.as_ref(), depth + 1, found);
                }
            }
            _ => {}
        }
    }
}

/// Writes what it is told. Blocking.
fn write(output: Output, mut commands: Receiver<Command>) -> io::Result<()> {
    match output {
        Output::Stream(stream) => compose(BufWriter::new(stream), &mut commands).map(drop),
        // A pipe or device is no file to put in place.
        Output::File(path) if path.metadata().is_ok_and(|metadata| !metadata.is_file()) => {
            let stream = std::fs::OpenOptions::new().write(true).open(path)?;
            compose(BufWriter::new(stream), &mut commands).map(drop)
        }
        Output::File(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let mut builder = tempfile::Builder::new();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            let builder = builder.permissions(mode).prefix(".longshore-");
            let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
            if compose(BufWriter::new(&mut file), &mut commands)? {
                file.as_file().sync_all()?;
                file.persist(&path)?;
            }
            Ok(())
        }
    }
}

/// Writes an archive; returns whether it was told the end, and not just left alone.
fn compose(sink: impl Write, commands: &mut Receiver<Command>) -> io::Result<bool> {
    let mut tar = TarWriter::new(sink);
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Start(name, size) => {
                tar.start(&TarEntry { name: &name, mode: 0o644, modified: 0, size })?;
            }
            Command::Data(bytes) => tar.write_content(&bytes)?,
            Command::End => return tar.finish().map(|_| true),
        }
    }
    Ok(false)
}
