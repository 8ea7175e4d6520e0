//! `verify`: may an image be pulled, and who says so?

use policy::{Guard, ImageName, Judgement, Policy};
use registry::{Access, TagOrDigest};
use spec::{Descriptor, Manifest};

use super::visit::Visit;
use crate::{Engine, EngineError, Result};

/// The depth to which indexes are gone through, as by a pull.
const MAX_DEPTH: usize = 4;

impl Engine {
    /// Judges an image at its registry as a pull of it would. With a `key`, in PEM, that alone counts, and it must have signed the
    /// image. Returns nothing where nobody is to be asked.
    pub async fn registry_verify(
        &self,
        visit: &Visit,
        key: Option<&str>,
    ) -> Result<Option<Judgement>> {
        let remote = self.visit(visit, Access::Pull).await?;
        let guard = match key {
            Some(pem) => {
                let policy = Policy::of_key(pem.as_bytes());
                Some(Guard::of_policy(policy, "--key".into(), &remote))
            }
            None => self.network().trust.guard(Some(&remote), &visit.credentials).await?,
        };
        let Some(guard) = guard else { return Ok(None) };
        let mut found = visit.fetch(&remote, &TagOrDigest::from(&visit.reference)).await?;
        let root = found.descriptor;
        let mut inner: Vec<Descriptor> = Vec::new();
        while let Manifest::Index(index) = &found.manifest {
            if inner.len() == MAX_DEPTH {
                return Err(EngineError::IndexDepth(visit.reference.familiar()));
            }
            let chosen = visit.choose(index)?.clone();
            let target = TagOrDigest::Digest(chosen.digest.clone());
            inner.push(chosen);
            found = visit.fetch(&remote, &target).await?;
        }
        let name = ImageName::at_registry(&visit.reference);
        Ok(Some(guard.judge(&name, &root, &inner).await))
    }
}
