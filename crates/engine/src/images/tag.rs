//! `tag`: one more name for an image.

use spec::{Platform, Reference, ReferenceError, Repository, Tag};

use crate::error::Mistake;
use crate::{Engine, EngineError, Result, resolve};

impl Engine {
    /// Makes `repository:tag` a name of the image `source`; an empty `tag` means `latest`. For a platform that is not that image's own, what
    /// is here of the index that it came with becomes an image, which alone has the name.
    pub async fn tag(
        &self,
        source: &str,
        platform: Option<Platform>,
        (repository, tag): (&str, &str),
    ) -> Result<()> {
        let target = parse_target(repository, tag)?;
        let made = match platform {
            Some(platform) => self.tag_part(source, platform, &target).await?,
            None => None,
        };
        let engine = self.clone();
        let source = source.to_owned();
        self.on_disk(move |store| {
            let id = if let Some(image) = made {
                image.id
            } else {
                let references = store.references()?;
                let found = resolve::find(store, &references, &source)?;
                store.update_references(|references| references.set(&target, &found.id))?;
                // One of several indexes of the image, or its manifest alone.
                if let Some(name) = &found.reference
                    && let Some(root) = store.root_of(&found.id, &name.clone().by_digest())?
                {
                    store.note_root(&found.id, &root, &target)?;
                }
                found.id
            };
            store.set_last_updated(&id, jiff::Timestamp::now())?;
            store.note_use(&id);
            engine.image_event("tag", &id, &target.familiar());
            Ok(())
        })
        .await
    }
}

fn parse_target(repository: &str, tag: &str) -> Result<Reference> {
    let name = Reference::parse_familiar(repository)?;
    if name.digest().is_some() {
        return Err(EngineError::InvalidParameter(Mistake::TagOfDigest));
    }
    if name.repository().familiar() == "sha256" {
        return Err(EngineError::InvalidParameter(Mistake::AmbiguousTag));
    }
    let repository: Repository = name.repository().clone();
    let tag: Option<Tag> = match tag {
        "" => name.tag().cloned(),
        tag => Some(tag.parse::<Tag>().map_err(|_| ReferenceError::Tag)?),
    };
    Ok(Reference::new(repository, tag, None).with_default_tag())
}

#[cfg(test)]
mod tests;
