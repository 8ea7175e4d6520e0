//! `import`: an image of one layer, made of a tar of files.
//!
//! # Flow
//! body or URL → decompressed → [`layer`] stages it → [`changes`] and platform make the config → one commit.
//!
//! The layer is the tar as it came, to the byte: its diff ID is the hash of what was inside the compression.

mod changes;
mod config;
mod layer;

use std::io::{self, Read};

use bytes::Bytes;
use futures_util::Stream;
use spec::{Digest, ImageId, Platform, Reference};
use store::{Commit, NewImage};

use crate::cancel::CancelOnDrop;
use crate::engine::blocking;
use crate::progress::ProgressEvent;
use crate::{Engine, EngineError, Progress, Result, receive};
use layer::Remote;

/// What to import.
pub struct ImportRequest {
    /// Where the tar comes from.
    pub source: ImportSource,
    /// What to call the image; nothing leaves it without a name.
    pub reference: Option<Reference>,
    /// A note for the image's history; by default where it came from.
    pub message: String,
    /// Instructions of a Dockerfile, a line each or several.
    pub changes: Vec<String>,
    /// For which platform it is, if not for this machine's.
    pub platform: Option<Platform>,
}

/// Where a tar comes from; it may be compressed with whatever layers may be.
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
    /// Imports a tar as an image, and tells its ID as the last of the progress.
    ///
    /// Dropping the future cancels the import, and nothing of it stays.
    pub async fn import(
        &self,
        request: ImportRequest,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
        progress: Progress,
    ) -> Result<()> {
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
            let message = "operating system is not supported".to_owned();
            return Err(EngineError::InvalidParameter(message));
        }
        let config = changes::apply(&request.changes);
        let config =
            config.map_err(|changes::ChangeError(text)| EngineError::InvalidParameter(text))?;

        let place = self.0.receivers.enter().await;
        let lease = self.lease().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let (store, reference, engine) = (self.store().clone(), request.reference, self.clone());
        let work = move |source: Box<dyn Read + Send>| {
            let staged = layer::stage(&store, &lease, cancelled.guard(source));
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
            commit.image =
                Some(NewImage { id: id.clone(), config: document, manifests: Vec::new() });
            commit.references.extend(reference.clone().map(|reference| (reference, id.clone())));
            engine.publish_import(&lease, commit, &id, reference.as_ref())?;
            Ok(id)
        };
        let id = if let Some(download) = download {
            let id = blocking(move || work(Box::new(download))).await?;
            drop(place);
            id
        } else {
            let (sender, input) = receive::pipe();
            let working = blocking(move || work(Box::new(input)));
            tokio::join!(working, receive::pump(body, sender, place)).0?
        };
        progress.report(ProgressEvent::Imported(id));
        Ok(())
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
        if let Some(reference) = reference {
            self.store().set_last_updated(id, jiff::Timestamp::now())?;
            self.image_event("tag", id, &reference.familiar());
        }
        self.image_event("import", id, &id.to_string());
        Ok(())
    }

    /// Asks for a URL; what it gives is downloaded while it is read.
    async fn open_url(&self, url: &str, progress: &Progress) -> Result<Remote> {
        let absolute = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let client = self.network().client;
        let download = client.download(&absolute).await.map_err(EngineError::Download)?;
        progress.report(ProgressEvent::DownloadingFrom(shown(&absolute)));
        Ok(Remote::new(download, progress.clone()))
    }
}

/// Returns a URL without its password: what an image's history says goes wherever the image is pushed to.
fn shown(url: &str) -> String {
    if url.contains("://") {
        return registry::without_password(url);
    }
    registry::without_password(&format!("http://{url}")).split_off("http://".len())
}
