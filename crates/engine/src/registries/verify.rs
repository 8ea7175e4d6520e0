//! `verify`: may an image be pulled, and who says so?

use policy::{Guard, ImageName, Judgement, Policy};
use registry::{Access, Remote, TagOrDigest};
use spec::{Descriptor, Manifest, MediaType};

use super::visit::Visit;
use crate::pull::is_first_schema;
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
        let trust = self.network().trust;
        if key.is_none() && trust == policy::Settings::default() {
            return Ok(None);
        }
        let remote = self.visit(visit, Access::Pull).await?.with_first_schema();
        let guard = match key {
            Some(pem) => {
                let policy = Policy::of_key(pem.as_bytes());
                Some(Guard::of_policy(policy, "--key".into(), &remote))
            }
            None => trust.guard(Some(&remote), &visit.credentials).await?,
        };
        let Some(guard) = guard else { return Ok(None) };
        let (root, inner) = visit.documents(&remote).await?;
        let name = ImageName::at_registry(&visit.reference);
        Ok(Some(guard.judge(&name, &root, &inner).await))
    }
}

impl Visit {
    /// Describes what a name leads to, and the documents in that on the way to the image.
    async fn documents(&self, remote: &Remote) -> Result<(Descriptor, Vec<Descriptor>)> {
        let target = TagOrDigest::from(&self.reference);
        let fetched = remote.manifest(&target).await.map_err(EngineError::Registry)?;
        if is_first_schema(fetched.media_type.as_ref(), &fetched.bytes) {
            let media_type = fetched.media_type.unwrap_or(MediaType::DockerManifestV1Signed);
            let size = fetched.bytes.len() as u64;
            return Ok((Descriptor::new(media_type, fetched.digest, size), Vec::new()));
        }
        let mut found = self.read(fetched)?;
        let root = found.descriptor;
        let mut inner: Vec<Descriptor> = Vec::new();
        while let Manifest::Index(index) = &found.manifest {
            if inner.len() == MAX_DEPTH {
                return Err(EngineError::IndexDepth(self.reference.familiar()));
            }
            let chosen = self.choose(index)?.clone();
            let target = TagOrDigest::Digest(chosen.digest.clone());
            inner.push(chosen);
            found = self.fetch(remote, &target).await?;
        }
        Ok((root, inner))
    }
}
