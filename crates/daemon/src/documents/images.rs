//! Documents about images: lists, histories and removals.

use api::ApiVersion;
use api::image::{
    HistoryItem, ImageDeleted, ImageSummary, ManifestAttestation, ManifestImage, ManifestSize,
    ManifestSummary, UnpackedSize,
};
use engine::{HistoryStep, KeptManifest, ManifestKind, Removed};
use serde::{Serialize, Serializer};

/// The ID of a step in a history that is no image here.
const MISSING: &str = "<missing>";

/// A list, for a client that speaks `version`: of thousands of images one after the other becomes a document.
pub(crate) struct Summaries<'a>(pub(crate) &'a [engine::ImageSummary], pub(crate) ApiVersion);

impl Serialize for Summaries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|image| summary(image, self.1)))
    }
}

/// An image of a list, for a client that speaks `version`.
pub(crate) fn summary(image: &engine::ImageSummary, version: ApiVersion) -> ImageSummary {
    let (mut repo_tags, mut repo_digests) = (image.repo_tags.clone(), image.repo_digests.clone());
    if !version.at_least(43) && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".to_owned());
        repo_digests.push("<none>@<none>".to_owned());
    }
    // Whoever asks for manifests is told what they take, and all of it together.
    let size = image.size.saturating_add(image.content);
    let manifests: Vec<_> = image.manifests.iter().cloned().map(manifest).collect();
    ImageSummary {
        // Older versions never counted; from 1.51 on the count is always there, and there are no containers.
        containers: version.at_least(51).then_some(0),
        created: image.created,
        id: image.id.to_string(),
        labels: image.labels.clone(),
        parent_id: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        manifests: Some(manifests).filter(|manifests| !manifests.is_empty()),
        repo_digests,
        repo_tags,
        shared_size: image.shared_size,
        size,
        virtual_size: (!version.at_least(44)).then_some(size),
    }
}

/// A manifest that a name of an image leads to, as dockerd's containerd store tells it.
pub(crate) fn manifest(kept: KeptManifest) -> ManifestSummary {
    let size = ManifestSize { content: kept.content, total: kept.size() };
    let (kind, image_data, attestation_data) = match kept.kind {
        ManifestKind::Image { platform, unpacked } => {
            let size = UnpackedSize { unpacked };
            let data = ManifestImage { containers: Vec::new(), platform, size };
            ("image", Some(data), None)
        }
        ManifestKind::Attestation { subject } => {
            ("attestation", None, Some(ManifestAttestation { subject: subject.to_string() }))
        }
        ManifestKind::Unknown => ("unknown", None, None),
    };
    ManifestSummary {
        attestation_data,
        available: kept.available,
        id: kept.descriptor.digest.to_string(),
        descriptor: kept.descriptor,
        image_data,
        kind: kind.to_owned(),
        size,
    }
}

/// A step of an image's history.
pub(crate) fn history_item(step: HistoryStep) -> HistoryItem {
    HistoryItem {
        comment: step.comment,
        created: step.created,
        created_by: step.created_by,
        id: step.id.map_or_else(|| MISSING.to_owned(), |id| id.to_string()),
        size: i64::try_from(step.size).unwrap_or(i64::MAX),
        tags: (!step.tags.is_empty()).then_some(step.tags),
    }
}

/// The documents of what is gone.
pub(crate) fn removed(removed: Vec<Removed>) -> Vec<ImageDeleted> {
    let document = |removed| match removed {
        Removed::Untagged(name) => ImageDeleted::Untagged(name),
        Removed::Deleted(id) => ImageDeleted::Deleted(id),
    };
    removed.into_iter().map(document).collect()
}
