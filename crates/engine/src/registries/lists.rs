//! Lists of a registry: repositories, tags, referrers.

use registry::{Access, Caller, Credentials, ReferrersFrom, RegistryError};
use spec::{Descriptor, Digest, Repository, Tag};

use super::visit::Visit;
use crate::{Engine, EngineError, Result};

/// The referrers of a manifest.
#[derive(Clone, Debug)]
pub struct FoundReferrers {
    /// The manifest.
    pub subject: Digest,
    /// The keeper of the list.
    pub from: ReferrersFrom,
    /// Its entries.
    pub referrers: Vec<registry::Referrer>,
    /// Manifests that cosign keeps beside it, by tags of its own.
    pub cosign: Vec<(Tag, Descriptor)>,
}

impl Engine {
    /// Lists the repositories of a registry that lists them, sorted.
    pub async fn registry_catalog(
        &self,
        registry: &str,
        credentials: &Credentials,
        caller: Caller,
    ) -> std::result::Result<Vec<Repository>, RegistryError> {
        let client = self.network().client.on_behalf_of(caller);
        let mut repositories = client.catalog(registry, credentials).await?;
        repositories.sort_unstable();
        repositories.dedup();
        Ok(repositories)
    }

    /// Lists the tags of a repository, sorted: all, or those of the first pages until there are enough.
    pub async fn registry_tags(&self, visit: &Visit, enough: Option<usize>) -> Result<Vec<Tag>> {
        let remote = self.visit(visit, Access::Pull).await?;
        let mut tags =
            remote.first_tags(enough.unwrap_or(usize::MAX)).await.map_err(EngineError::Registry)?;
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    /// Lists what refers to an image: signatures, SBOMs, attestations. Of one type, if that is given; what cosign keeps by
    /// tags has none, and is left out then.
    pub async fn registry_referrers(
        &self,
        visit: &Visit,
        artifact_type: Option<&str>,
    ) -> Result<FoundReferrers> {
        let (subject, _) = self.registry_resolve(visit).await?;
        let subject = subject.digest;
        let remote = self.visit(visit, Access::Pull).await?;
        let found = remote.referrers(&subject, artifact_type).await;
        let found = found.map_err(EngineError::Registry)?;
        let mut referrers = found.list;
        referrers.sort_by(|a, b| {
            let key = |one: &registry::Referrer| {
                (one.artifact_type.clone(), one.descriptor.digest.to_string())
            };
            key(a).cmp(&key(b))
        });
        let cosign = match artifact_type {
            Some(_) => Vec::new(),
            None => remote.cosign_tags(&subject).await.map_err(EngineError::Registry)?,
        };
        Ok(FoundReferrers { subject, from: found.from, referrers, cosign })
    }
}
