//! The tags that an image gets by a commit.

use spec::{ImageId, Reference};

/// Returns the tags among references that are those of one image.
pub(super) fn tags_of(references: &[(Reference, ImageId)], id: &ImageId) -> Vec<String> {
    let own = references.iter().filter(|(_, owner)| owner == id);
    let tags = own.filter(|(name, _)| name.digest().is_none());
    tags.map(|(name, _)| name.to_string()).collect()
}
