//! Changes at a registry without an image here: tags given and taken, manifests deleted.

use registry::{Access, TagOrDigest, TagRemoval};
use spec::{Descriptor, Tag};

use super::visit::Visit;
use crate::error::Mistake;
use crate::{Engine, EngineError, Result};

impl Engine {
    /// Gives a manifest of a registry one more tag in its repository: the same bytes, so that the digest stays.
    pub async fn registry_tag(&self, visit: &Visit, tag: &Tag) -> Result<Descriptor> {
        // Of the registry that is written to, and not of a mirror, which may be behind.
        let remote = self.visit(visit, Access::Push).await?;
        let found = visit.fetch_meant(&remote).await?;
        let put = remote.tag_manifest(tag, &found.descriptor.media_type, found.bytes).await;
        put.map_err(EngineError::Registry)?;
        Ok(found.descriptor)
    }

    /// Deletes at a registry what a name means: a tag alone, or a manifest by its digest with all its tags.
    pub async fn registry_remove(&self, visit: &Visit) -> Result<Option<TagRemoval>> {
        let target = match (visit.reference.tag(), visit.reference.digest()) {
            (Some(tag), None) => TagOrDigest::Tag(tag.clone()),
            (None, Some(digest)) => TagOrDigest::Digest(digest.clone()),
            _ => {
                let name = visit.reference.familiar();
                return Err(EngineError::InvalidParameter(Mistake::NeitherTagNorDigest(name)));
            }
        };
        let remote = self.visit(visit, Access::Delete).await?;
        let removed = match &target {
            TagOrDigest::Tag(tag) => remote.delete_tag(tag).await.map(Some),
            TagOrDigest::Digest(digest) => remote.delete_manifest(digest).await.map(|()| None),
        };
        removed.map_err(EngineError::Registry)
    }
}
