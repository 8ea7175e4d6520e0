//! The judgement on an image, under the name that was asked for, before anything but its manifest is fetched.

use std::collections::HashSet;

use policy::ImageName;
use spec::{Descriptor, Digest, Mentioned, Reference};

use super::manifest::Resolved;
use super::operation::Pull;
use super::parts::Part;
use crate::{Result, Verified};

impl Pull {
    /// Fails if the image is refused. `documents` are what its name led to, the outermost first. Returns who vouches for which of them,
    /// for the store.
    pub(super) async fn admit(
        &self,
        reference: &Reference,
        documents: &[Descriptor],
    ) -> Result<Vec<(Digest, String)>> {
        let (Some(guard), Some((root, inner))) = (&self.guard, documents.split_first()) else {
            return Ok(Vec::new());
        };
        let judgement = guard.admit(&ImageName::at_registry(reference), root, inner).await?;
        Ok(Verified::findings(reference, &judgement))
    }

    /// Fails if what an index lists, and is kept beside the image, is refused: who vouches for the image of one platform says nothing of
    /// the others. What refers to the image is no image, and is there because of what it says.
    pub(super) async fn admit_parts(
        &self,
        reference: &Reference,
        resolved: &Resolved,
        parts: &[Part],
    ) -> Result<()> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let documents = resolved.descriptors();
        let Some(root) = documents.first() else { return Ok(()) };
        let own = resolved.documents().filter_map(|(_, bytes)| Mentioned::parse(bytes).ok());
        let own: Vec<Mentioned> = own.collect();
        let indexes = own.iter().chain(parts.iter().map(|part| &part.mentioned));
        let listed: HashSet<&Digest> =
            indexes.flat_map(|index| &index.manifests).map(|entry| &entry.digest).collect();
        for part in parts.iter().filter(|part| listed.contains(&part.descriptor.digest)) {
            let name = ImageName::at_registry(reference);
            guard.admit_part(&name, root, &part.descriptor).await?;
        }
        Ok(())
    }
}
