//! `import`: an image of one layer, made of a tar of files.
//!
//! # Flow
//! body or URL → decompressed → [`layer`] stages it → [`changes`] and platform make the config → one commit.
//!
//! The layer is the tar as it came, to the byte: its diff ID is the hash of what was inside the compression.

mod changes;
mod config;
mod layer;

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::{Either, select};
use registry::Download;
use spec::{Digest, ImageId, Platform, Reference};
use store::{Commit, NewImage, Store};

use crate::cancel::CancelOnDrop;
use crate::error::Mistake;
use crate::progress::ProgressEvent;
use crate::{Engine, EngineError, Progress, Result, receive};

/// An order to import.
pub struct ImportRequest {
    /// The origin of the tar.
    pub source: ImportSource,
    /// The image's name; nothing leaves it without one.
    pub reference: Option<Reference>,
    /// A note for the image's history; by default where it came from.
    pub message: String,
    /// Instructions of a Dockerfile, a line each or several.
    pub changes: Vec<String>,
    /// For which platform it is, if not for this machine's.
    pub platform: Option<Platform>,
}

/// The origin of a tar; it may be compressed with whatever layers may be.
pub enum ImportSource {
    /// The body that comes with the request.
    Body,
    /// An `http` or `https` URL; `http` may be left out.
    Url(String),
}

impl std::fmt::Debug for ImportSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A URL may have a password in it.
        f.write_str(match self {
            Self::Body => "Body",
            Self::Url(_) => "Url",
        })
    }
}

impl std::fmt::Debug for ImportRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportRequest").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Engine {
    /// Imports a tar as an image, and returns its ID.
    ///
    /// Dropping the future cancels the import, and nothing of it stays.
    pub async fn import(
        &self,
        request: ImportRequest,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
        progress: Progress,
    ) -> Result<ImageId> {
        let (download, url) = match &request.source {
            ImportSource::Body => (None, None),
            ImportSource::Url(url) => {
                (Some(self.open_url(url, &progress).await?), Some(shown(url)))
            }
        };
        let message = format!("Imported from {}", url.as_deref().unwrap_or("-"));
        let message = if request.message.is_empty() { message } else { request.message };
        let platform = request.platform.unwrap_or_else(Platform::host);
        if !platform.os.eq_ignore_ascii_case("linux") {
            return Err(EngineError::InvalidParameter(Mistake::ImportPlatform));
        }
        let config = changes::apply(&request.changes);
        let config = config.map_err(|changes::ChangeError(text)| {
            EngineError::InvalidParameter(Mistake::Change(text))
        })?;

        let place = self.0.receivers.enter().await;
        let lease = self.lease().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let (reference, engine) = (request.reference, self.clone());
        let (sender, input) = receive::pipe();
        let work = move |store: &Store| {
            let staged = layer::stage(store, &lease, cancelled.guard(input));
            let staged = staged.map_err(|error| match (error, url) {
                (EngineError::ImportLayer(source), Some(url)) => {
                    EngineError::ImportUrl { url, source }
                }
                (error, _) => error,
            })?;
            let now = jiff::Timestamp::now();
            let document = config::document(&platform, &message, config, &staged.diff_id(), now)?;
            let id = ImageId::new(Digest::sha256(&document));
            let mut commit = staged.commit();
            commit.image = Some(NewImage {
                id: id.clone(),
                config: document,
                manifests: Vec::new(),
                parts: Vec::new(),
            });
            commit.references.extend(reference.clone().map(|reference| (reference, id.clone())));
            engine.publish_import(&lease, commit, &id, reference.as_ref())?;
            Ok(id)
        };
        let working = pin!(self.on_disk(work));
        if let Some(download) = download {
            let mut pieces = layer::pieces(download, progress.clone());
            // Nobody wants what follows the archive.
            match select(working, pin!(receive::pump(&mut pieces, sender, place))).await {
                Either::Left((id, _)) => id,
                Either::Right(((), working)) => working.await,
            }
        } else {
            tokio::join!(working, receive::pump(body, sender, place)).0
        }
    }

    /// Publishes the image and tells the watchers. Blocking.
    fn publish_import(
        &self,
        lease: &store::Lease,
        commit: Commit,
        id: &ImageId,
        reference: Option<&Reference>,
    ) -> Result<()> {
        self.store().commit(lease, commit)?;
        self.store().note_use(id);
        if let Some(reference) = reference {
            self.store().set_last_updated(id, jiff::Timestamp::now())?;
            self.image_event("tag", id, &reference.familiar());
        }
        self.image_event("import", id, &id.to_string());
        Ok(())
    }

    /// Asks for a URL; what it gives is downloaded while it is read.
    async fn open_url(&self, url: &str, progress: &Progress) -> Result<Download> {
        let absolute = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let client = self.network().client;
        let download = client.download(&absolute).await.map_err(EngineError::Download)?;
        progress.report(ProgressEvent::DownloadingFrom(shown(&absolute)));
        Ok(download)
    }
}

/// Returns a URL without its password: what an image's history says goes wherever the image is pushed to.
fn shown(url: &str) -> String {
    if url.contains("://") {
        return registry::without_password(url);
    }
    registry::without_password(&format!("http://{url}")).split_off("http://".len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use registry::RegistryConfig;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{EngineConfig, Limits};

    #[tokio::test]
    async fn a_url_that_gives_nothing_makes_room_for_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(EngineConfig {
            data_root: folder.path().join("root"),
            driver: Some(store::DriverKind::Packed),
            keep_blobs: false,
            registry: RegistryConfig::default(),
            trust: policy::Settings::default(),
            limits: Limits::default(),
        })
        .await
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = ImportRequest {
            source: ImportSource::Url(listener.local_addr().unwrap().to_string()),
            reference: None,
            message: String::new(),
            changes: Vec::new(),
            platform: None,
        };
        let importer = engine.clone();
        let importing = tokio::spawn(async move {
            importer.import(request, &mut stream::pending(), Progress::silent()).await
        });
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let receivers = &engine.0.receivers;
        while receivers.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        let mut others = Vec::new();
        for _ in 1..receive::MAX_RECEIVERS {
            others.push(receivers.enter().await);
        }
        let time = async {
            for _ in 0..60 {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            _ = receivers.enter() => {}
            () = time => panic!("no place in a minute"),
        }
        let error = importing.await.unwrap().unwrap_err().message();
        assert!(error.contains("no more of the body came for 10 seconds"), "{error}");
    }
}
