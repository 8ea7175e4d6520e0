//! One layer, the cheapest way to the registry.

use std::fs::File;
use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;

use archive::{GzipEncoder, LAYER_LEVEL};
use registry::{Mounted, Presence, UploadSession};
use spec::{Algorithm, Descriptor, Digest, MediaType, Repository};
use store::{BlobWriter, HmacKey, Lease, Source, Store};

use super::content::MOUNT_ATTEMPTS;
use super::manifest::{LayerToPush, PushedLayer};
use super::operation::{Push, refused};
use super::upload::{Content, Upload, cancel};
use crate::error::Missing;
use crate::transfer::{Watcher, Watchers};
use crate::{EngineError, LayerFacts, LayerState, Result, space};

/// Other blobs of the same layer that are looked for at the registry before one is made anew.
const EXISTENCE_CHECKS: usize = 3;

impl Push {
    /// Makes sure that the registry has a layer, by an upload of ours or of somebody else.
    pub(super) async fn layer(self: &Arc<Self>, layer: &LayerToPush) -> Result<PushedLayer> {
        loop {
            let watcher = Watcher::User { progress: self.progress.clone(), id: layer.label() };
            let prepare = |watchers| {
                let job = Job { push: Arc::clone(self), layer: layer.clone(), watchers };
                ready(Ok(((), job.run())))
            };
            let key = (self.request.repository.clone(), layer.diff_id.clone());
            let transfer = self.engine.0.upload_jobs.start(key, watcher, prepare).await?;
            match transfer.done().await {
                Ok(descriptor) => {
                    return Ok(PushedLayer { diff_id: layer.diff_id.clone(), descriptor });
                }
                // Somebody else's job failed with their credentials: ours may do better.
                Err(error) if transfer.joined() => {
                    tracing::debug!(%error, "a joined upload failed");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The work on one layer.
pub(super) struct Job {
    pub(super) push: Arc<Push>,
    pub(super) layer: LayerToPush,
    pub(super) watchers: Arc<Watchers>,
}

impl Job {
    async fn run(self) -> Result<Descriptor> {
        if let Some(known) = self.layer.known.as_ref().filter(|known| self.push.leaves(known)) {
            self.watchers.report(LayerState::SkippedForeignLayer);
            return Ok(known.clone());
        }
        let network = self.push.engine.network();
        let _turn = self.watchers.turn(&network.uploads).await?;
        if let Some(known) = &self.layer.known
            && self.presence(&known.digest).await?.is_some()
        {
            return Ok(self.present(LayerState::LayerAlreadyExists, known.clone()));
        }
        let sources = self.sources().await?;
        let mut session = match self.mount(&sources).await? {
            Mount::Done(descriptor) => return Ok(descriptor),
            Mount::Session(session) => Some(session),
            Mount::Nothing => None,
        };
        if let Some(known) = &self.layer.known {
            let digest = known.digest.clone();
            if let Some(blob) =
                self.push.engine.on_disk(move |store| Ok(store.blob(&digest)?)).await?
            {
                let error = match self.upload(session.take(), known, blob.path).await {
                    Ok(()) => {
                        self.watchers.report(LayerState::Pushed);
                        return Ok(known.clone());
                    }
                    Err(error) => error,
                };
                // If the fault is on our disk, the layer can be made anew.
                let digest = known.digest.clone();
                if !self
                    .push
                    .engine
                    .on_disk(move |store| Ok(store.discard_blob_if_damaged(&digest)?))
                    .await?
                {
                    return Err(error);
                }
                tracing::warn!(%error, blob = %known.digest, "a kept blob is damaged");
            }
        }
        if let Some(descriptor) = self.other_blob(&sources).await? {
            cancel(session).await;
            return Ok(self.present(LayerState::LayerAlreadyExists, descriptor));
        }
        let (descriptor, writer) = self.make_blob().await?;
        self.upload(session, &descriptor, writer.path().to_owned()).await?;
        self.watchers.report(LayerState::Pushed);
        Ok(descriptor)
    }

    /// Reports that the registry has a layer without an upload.
    fn present(&self, state: LayerState, blob: Descriptor) -> Descriptor {
        self.watchers.tell(&self.at_registry(LayerFacts::here(blob.size)));
        self.watchers.report(state);
        blob
    }

    fn at_registry(&self, mut facts: LayerFacts) -> LayerFacts {
        facts.host = Some(self.push.request.repository.domain().to_owned());
        facts
    }

    async fn presence(&self, digest: &Digest) -> Result<Option<Presence>> {
        self.push.remote.blob_presence(digest).await.map_err(refused)
    }

    async fn upload(
        &self,
        session: Option<UploadSession>,
        blob: &Descriptor,
        path: PathBuf,
    ) -> Result<()> {
        self.watchers.tell(&self.at_registry(LayerFacts::wanted(blob.size)));
        let (watchers, content) = (Arc::clone(&self.watchers), Content::File(path));
        Upload { push: &self.push, watchers, blob, content }.run(session).await
    }

    /// Returns the size of a blob that the registry has and tells of.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.presence(digest).await?.and_then(|found| found.size))
    }

    /// Lists the places of the layer at this registry, the most promising first.
    async fn sources(&self) -> Result<Vec<Source>> {
        let diff_id = self.layer.diff_id.clone();
        let noted = self.push.engine.on_disk(move |store| Ok(store.sources_of(&diff_id)?)).await?;
        Ok(by_promise(noted, &self.push.request.repository, &self.push.key))
    }

    /// Tries to have the registry take the layer from another repository of its own.
    async fn mount(&self, sources: &[Source]) -> Result<Mount> {
        let target = &self.push.request.repository;
        let known = self.layer.known.as_ref().map(|known| &known.digest);
        let candidates = sources
            .iter()
            .filter(|source| {
                source.repository != *target && known.is_none_or(|known| *known == source.digest)
            })
            .take(MOUNT_ATTEMPTS);
        let mut open = None;
        for source in candidates {
            match self.push.remote.mount(&source.digest, &source.repository).await {
                Ok(Mounted::Yes) => {
                    // As in dockerd, what the registry does not tell of afterwards is uploaded.
                    let Some(descriptor) = self.describe(&source.digest).await else { break };
                    cancel(open).await;
                    let repository = source.repository.path().to_owned();
                    let state = LayerState::MountedFrom { repository };
                    return Ok(Mount::Done(self.present(state, descriptor)));
                }
                Ok(Mounted::Started(session)) => {
                    cancel(open.replace(session)).await;
                }
                // A mount is an optimisation: the upload that follows tells what is really wrong.
                Err(error) => tracing::debug!(%error, from = %source.repository, "mount failed"),
            }
        }
        Ok(open.map_or(Mount::Nothing, Mount::Session))
    }

    /// Describes a blob that the registry has mounted; nothing if neither the image's manifest nor the registry does.
    async fn describe(&self, digest: &Digest) -> Option<Descriptor> {
        if let Some(known) = self.layer.known.as_ref().filter(|known| known.digest == *digest) {
            return Some(known.clone());
        }
        let size = self.size(digest).await.unwrap_or_else(|error| {
            tracing::debug!(%error, %digest, "nothing is told of what was mounted");
            None
        })?;
        Some(Descriptor::new(MediaType::DockerLayerGzip, digest.clone(), size))
    }

    /// Looks for another blob of the same layer in the target repository.
    async fn other_blob(&self, sources: &[Source]) -> Result<Option<Descriptor>> {
        let known = self.layer.known.as_ref().map(|known| &known.digest);
        let others =
            sources.iter().filter(|source| Some(&source.digest) != known).take(EXISTENCE_CHECKS);
        for source in others {
            if let Some(size) = self.size(&source.digest).await? {
                let digest = source.digest.clone();
                return Ok(Some(Descriptor::new(MediaType::DockerLayerGzip, digest, size)));
            }
        }
        Ok(None)
    }

    /// Makes the layer's blob anew.
    async fn make_blob(&self) -> Result<(Descriptor, BlobWriter)> {
        let (lease, layer) = (Arc::clone(&self.push.lease), self.layer.clone());
        let permit = self.push.engine.packer().await?;
        let make = move |store: &Store| {
            let made = make_blob(store, &lease, &layer);
            drop(permit);
            made
        };
        self.push.engine.on_disk(make).await
    }
}

/// Rebuilds a layer's tar and compresses it, on all cores, into a file. Blocking.
fn make_blob(
    store: &Store,
    lease: &Lease,
    layer: &LayerToPush,
) -> Result<(Descriptor, BlobWriter)> {
    let missing = || EngineError::Missing(Missing::LayerContent(layer.diff_id.clone()));
    let kept = store.layer(&layer.chain_id)?.and_then(|layer| layer.blob);
    let writer = store.blob_writer(lease, Algorithm::Sha256)?;
    let digest = layer.diff_id.digest();
    let failed = |error| space::layer_failed("compress", digest, store.root(), error);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let io_failed = |source| failed(archive::ArchiveError::SplitWrite(source));
    let mut encoder = GzipEncoder::new(writer, LAYER_LEVEL, threads).map_err(io_failed)?;
    let rebuilt = if let Some(digest) = kept {
        let blob = store.blob(&digest)?.ok_or_else(missing)?;
        let open = |source| EngineError::Open { path: blob.path.clone(), source };
        let file = File::open(&blob.path).map_err(open)?;
        archive::decompress(file, &mut encoder).map_err(failed)?
    } else {
        let root = store.layer_path(&layer.chain_id)?.ok_or_else(missing)?;
        let tar_split = store.tar_split(&layer.chain_id)?.ok_or_else(missing)?;
        archive::rebuild(tar_split, &root, &mut encoder).map_err(failed)?
    };
    let writer = encoder.finish().map_err(io_failed)?;
    if rebuilt != layer.diff_id {
        let digest = layer.diff_id.digest().clone();
        let detail = format!("the layer's directory gives {rebuilt}");
        return Err(EngineError::LayerVerification { digest, detail });
    }
    let (digest, size) = writer.identity();
    Ok((Descriptor::new(MediaType::DockerLayerGzip, digest, size), writer))
}

enum Mount {
    Done(Descriptor),
    Session(UploadSession),
    Nothing,
}

/// Sorts the noted places of a layer at the target's registry: those noted with the same credentials first, then those whose
/// path begins like the target's, then the youngest.
fn by_promise(noted: Vec<Source>, target: &Repository, key: &HmacKey) -> Vec<Source> {
    let mut sources: Vec<Source> = noted
        .into_iter()
        .rev()
        .filter(|source| source.repository.domain() == target.domain())
        .collect();
    sources.sort_by_key(|source| {
        let likeness = common_components(source.repository.path(), target.path());
        std::cmp::Reverse((key.signed(source), likeness))
    });
    sources
}

fn common_components(a: &str, b: &str) -> usize {
    a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use spec::Reference;
    use store::Credentials;

    use super::*;

    fn repository(text: &str) -> Repository {
        Reference::parse_familiar(text).unwrap().repository().clone()
    }

    /// dockerd's order of mounts: what the same credentials saw, then the likest path, then the youngest.
    #[test]
    fn the_most_promising_repository_is_tried_first() {
        let key = HmacKey::new(&Credentials { username: "me", ..Credentials::default() });
        let other = HmacKey::new(&Credentials { username: "you", ..Credentials::default() });
        let noted = |entries: &[(&str, bool)]| -> Vec<Source> {
            let source = |(number, (name, is_mine)): (usize, &(&str, bool))| {
                let digest = Digest::sha256(&[u8::try_from(number).unwrap()]);
                let repository = repository(name);
                let hmac = if *is_mine { &key } else { &other }.sign(&digest, &repository);
                Source { digest, repository, hmac }
            };
            entries.iter().enumerate().map(source).collect()
        };
        for (entries, expected) in [
            (&[][..], &[][..]),
            // Of another registry nothing can be mounted.
            (&[("reg.io/a/b", true), ("other.io/a/b", true), ("a/b", true)], &["reg.io/a/b"]),
            (&[("reg.io/x", false), ("reg.io/y", true)], &["reg.io/y", "reg.io/x"]),
            (
                &[("reg.io/z", true), ("reg.io/a/x", true), ("reg.io/a/b/x", true)],
                &["reg.io/a/b/x", "reg.io/a/x", "reg.io/z"],
            ),
            // Credentials count for more than the path.
            (&[("reg.io/a/b/c", false), ("reg.io/z", true)], &["reg.io/z", "reg.io/a/b/c"]),
            (
                &[("reg.io/older", true), ("reg.io/younger", true)],
                &["reg.io/younger", "reg.io/older"],
            ),
            // Whole components are alike, not letters.
            (&[("reg.io/a/x", true), ("reg.io/ab/x", true)], &["reg.io/a/x", "reg.io/ab/x"]),
        ] {
            let sources = by_promise(noted(entries), &repository("reg.io/a/b/c"), &key);
            let names: Vec<String> =
                sources.iter().map(|source| source.repository.familiar()).collect();
            assert_eq!(names, expected, "{entries:?}");
        }
    }
}
