//! `pull --all-tags`: several tags at once, and what is no image passed over.
//!
//! The manifests, configs and layers of the next tags are fetched while one is unpacked and published; what is said of each
//! comes in the order of the registry's list, as if one had been pulled after the other.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use spec::{ManifestError, Reference, Tag};

use super::begin::Begun;
use super::operation::{Pull, refused};
use crate::engine::in_task;
use crate::error::Missing;
use crate::progress::{PassedOver, ProgressEvent, ProgressReceiver};
use crate::{EngineError, Progress, Result};

/// Tags that are under way at once: enough to hide the round trips of one behind the bytes of another, few enough to be
/// polite. Layers have a bound of their own.
const TAGS_AT_ONCE: usize = 4;
/// The most tags that an error names.
const MAX_NAMED: usize = 10;

/// The meaning of the failure of one tag.
enum Verdict {
    /// It is no image that could be here.
    PassedOver(PassedOver),
    /// It is an image, and something is wrong with it.
    Failed,
    /// Others would fail in the same way.
    Stop,
}

impl Pull {
    /// Pulls every tag; returns whether anything changed.
    pub(super) async fn all_tags(self: &Arc<Self>) -> Result<bool> {
        let name = &self.request.reference;
        let tags = self.remote.tags().await.map_err(|error| refused(error, name))?;
        let total = tags.len();
        let mut begun = stream::iter(tags)
            .map(|tag| {
                let (progress, told) = Progress::channel();
                let reference = Reference::new(name.repository().clone(), Some(tag.clone()), None);
                let (pull, wanted) = (Arc::clone(self), reference.clone());
                // A task of its own: nobody polls this one while another tag is ended, and what it waits for, or has got hold
                // of, may be what that tag needs.
                let begun = in_task(async move { pull.begin(&wanted, &progress).await });
                async move { (tag, reference, begun.await, told) }
            })
            .buffered(TAGS_AT_ONCE);
        let (mut newer, mut pulled) = (false, 0);
        let mut failed: Vec<(Tag, EngineError)> = Vec::new();
        while let Some((tag, reference, begun, told)) = begun.next().await {
            let error = match self.next_tag(&reference, begun, told).await {
                Ok(changed) => {
                    (newer, pulled) = (newer | changed, pulled + 1);
                    continue;
                }
                Err(error) => error,
            };
            let tag_name = tag.to_string();
            match verdict(&error) {
                Verdict::PassedOver(reason) => {
                    self.progress.report(ProgressEvent::TagPassedOver { tag: tag_name, reason });
                }
                Verdict::Failed => {
                    let reason = error.message();
                    self.progress.report(ProgressEvent::TagFailed { tag: tag_name, reason });
                    failed.push((tag, error));
                }
                Verdict::Stop => return Err(error),
            }
        }
        let repository = name.repository().familiar();
        if failed.is_empty() {
            return match total {
                1.. if pulled == 0 => Err(EngineError::NoImages { repository, total }),
                _ => Ok(newer),
            };
        }
        let mut names: Vec<_> =
            failed.iter().take(MAX_NAMED).map(|(tag, _)| tag.to_string()).collect();
        if failed.len() > MAX_NAMED {
            names.push("\u{2026}".to_owned());
        }
        let (count, names) = (failed.len(), names.join(", "));
        let source = Box::new(failed.swap_remove(0).1);
        Err(EngineError::TagsFailed { repository, count, total, names, source })
    }

    /// Ends the pull of one tag, whose turn it is to be told of.
    async fn next_tag(
        &self,
        reference: &Reference,
        begun: Result<Begun>,
        mut told: ProgressReceiver,
    ) -> Result<bool> {
        // What is passed over is told in one line.
        let silent = begun.as_ref().is_err_and(|e| matches!(verdict(e), Verdict::PassedOver(_)));
        while let Some(event) = told.recv().await {
            if !silent {
                self.progress.report(event);
            }
        }
        self.finish(reference, begun?).await
    }
}

/// Decides what the failure of one tag means for the others.
fn verdict(error: &EngineError) -> Verdict {
    match error {
        EngineError::NotAnImage { media_type, .. }
        | EngineError::UnsupportedMediaType(media_type)
        | EngineError::Manifest { source: ManifestError::MediaType(media_type), .. } => {
            Verdict::PassedOver(PassedOver::Kind(media_type.clone()))
        }
        EngineError::ManifestNotFound { .. } => Verdict::PassedOver(PassedOver::NoManifest),
        EngineError::NoMatchingManifest(platform) => {
            Verdict::PassedOver(PassedOver::NoPlatform(platform.clone()))
        }
        EngineError::OperatingSystem(os) => {
            Verdict::PassedOver(PassedOver::OperatingSystem(os.clone()))
        }
        EngineError::Registry(error) if error.is_manifest_unknown() => {
            Verdict::PassedOver(PassedOver::NoManifest)
        }
        EngineError::Registry(error) => {
            let everybodys = error.is_denied()
                || error.is_unauthorized()
                || error.lacks_credentials()
                || error.is_unreachable()
                || error.code_status() == Some(429);
            if everybodys { Verdict::Stop } else { Verdict::Failed }
        }
        EngineError::Manifest { .. }
        | EngineError::FirstSchema(_)
        | EngineError::IndexDepth(_)
        | EngineError::InvalidParameter(_)
        | EngineError::Trust(_)
        | EngineError::Config { .. }
        | EngineError::Missing(Missing::Blob(_))
        | EngineError::RootFsMismatch
        | EngineError::HistoryMismatch
        | EngineError::LayerVerification { .. }
        | EngineError::Layer { .. } => Verdict::Failed,
        EngineError::Shared(error) => verdict(error),
        _ => Verdict::Stop,
    }
}

#[cfg(test)]
mod tests;
