//! `tag`: one more name for an image.

use spec::{Reference, ReferenceError, Repository, Tag};

use crate::error::Mistake;
use crate::{Engine, EngineError, Result, resolve};

impl Engine {
    /// Makes `repository:tag` a name of the image `source`; an empty `tag` means `latest`.
    pub async fn tag(&self, source: &str, repository: &str, tag: &str) -> Result<()> {
        let target = parse_target(repository, tag)?;
        let engine = self.clone();
        let source = source.to_owned();
        self.on_disk(move |store| {
            let references = store.references()?;
            let found = resolve::find(store, &references, &source)?;
            store.update_references(|references| references.set(&target, &found.id))?;
            store.set_last_updated(&found.id, jiff::Timestamp::now())?;
            store.note_use(&found.id);
            engine.image_event("tag", &found.id, &target.familiar());
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
