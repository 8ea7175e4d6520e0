//! Documents about images: lists, histories and removals.

use api::ApiVersion;
use api::image::{
    HistoryItem, ImageDeleted, ImageSummary, ManifestImage, ManifestSize, ManifestSummary,
    UnpackedSize,
};
use engine::{HistoryStep, Removed};

/// The ID of a step in a history that is no image here.
const MISSING: &str = "<missing>";

/// An image of a list, for a client that speaks `version`.
pub(crate) fn summary(image: engine::ImageSummary, version: ApiVersion) -> ImageSummary {
    let (mut repo_tags, mut repo_digests) = (image.repo_tags, image.repo_digests);
    if !version.at_least(43) && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".to_owned());
        repo_digests.push("<none>@<none>".to_owned());
    }
    let unpacked = image.size;
    // Whoever asks for manifests is told what they take, and all of it together.
    let content = image.manifests.iter().map(|manifest| manifest.kept.content);
    let size = content.fold(unpacked, u64::saturating_add);
    let manifests: Vec<_> =
        image.manifests.into_iter().map(|of_image| manifest(of_image, unpacked)).collect();
    ImageSummary {
        // Older versions never counted; from 1.51 on the count is always there, and there are no containers.
        containers: version.at_least(51).then_some(0),
        created: image.created,
        id: image.id.to_string(),
        labels: image.labels,
        parent_id: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        manifests: Some(manifests).filter(|manifests| !manifests.is_empty()),
        repo_digests,
        repo_tags,
        shared_size: image.shared_size,
        size,
        virtual_size: (!version.at_least(44)).then_some(size),
    }
}

/// A kept manifest of an image whose layers take `unpacked` bytes.
fn manifest(summary: engine::ManifestSummary, unpacked: u64) -> ManifestSummary {
    let store::KeptManifest { descriptor, content, is_part } = summary.kept;
    // Parts are never unpacked.
    let unpacked = if is_part { 0 } else { unpacked };
    let (kind, own) = if summary.platform.is_some() { ("image", unpacked) } else { ("unknown", 0) };
    ManifestSummary {
        available: true,
        id: descriptor.digest.to_string(),
        descriptor,
        image_data: summary.platform.map(|platform| ManifestImage {
            containers: Vec::new(),
            platform,
            size: UnpackedSize { unpacked },
        }),
        kind: kind.to_owned(),
        size: ManifestSize { content, total: content.saturating_add(own) },
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
