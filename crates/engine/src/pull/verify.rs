//! The judgement on an image, under the name that was asked for, before anything but its manifest is fetched.

use policy::{ImageName, TrustError, Vouched};
use spec::{Descriptor, Digest, Reference};

use super::operation::Pull;
use super::parts::Part;
use crate::{Result, Verified};

/// The outcome for an image that is not refused.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    /// Documents on the way to the image for which nobody vouches, where somebody has to: only what is below them is taken.
    pub(super) passed: usize,
    /// Findings on its documents, for the store.
    pub(super) findings: Vec<(Digest, String)>,
}

impl Pull {
    /// Returns the name that policies have for an image.
    fn image_name(&self, reference: &Reference) -> ImageName {
        let meant = self.request.meant.as_ref().filter(|_| reference.digest().is_some());
        match meant {
            None => ImageName::at_registry(reference),
            Some(tag) => {
                let (repository, digest) = (reference.repository(), reference.digest());
                let both = Reference::new(repository.clone(), Some(tag.clone()), digest.cloned());
                ImageName::at_registry(&both)
            }
        }
    }

    /// Fails if the image is refused. `documents` are what its name led to, the outermost first.
    pub(super) async fn admit(
        &self,
        reference: &Reference,
        documents: &[Descriptor],
    ) -> Result<Admitted> {
        let (Some(guard), Some((root, inner))) = (&self.guard, documents.split_first()) else {
            return Ok(Admitted::default());
        };
        let judgement = guard.admit(&self.image_name(reference), root, inner).await?;
        let depth = |vouched: &Vouched| documents.iter().position(|d| d.digest == vouched.digest);
        // Of several signatures that are required each vouches for what is below it.
        let passed = judgement.vouched().filter_map(depth).max().unwrap_or_default();
        Ok(Admitted { passed, findings: Verified::findings(reference, &judgement) })
    }

    /// Fails if what an index lists, and is kept beside the image, is refused: who vouches for the image of one platform says nothing of
    /// the others. `root` is what the name led to.
    pub(super) async fn admit_parts(
        &self,
        reference: &Reference,
        root: &Descriptor,
        parts: &[Part],
    ) -> Result<()> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let name = self.image_name(reference);
        for part in parts {
            guard.admit_part(&name, root, &part.descriptor).await?;
        }
        Ok(())
    }

    /// Says whether the policy takes what refers to an image and may be an image itself: nobody has vouched for it who vouched for what
    /// it refers to. Anything else is there because of what it says.
    pub(super) async fn admits_referrer(&self, reference: &Reference, part: &Part) -> Result<bool> {
        let Some(guard) = self.guard.as_ref().filter(|_| part.mentioned.may_be_image()) else {
            return Ok(true);
        };
        let name = self.image_name(reference);
        match guard.admit(&name, &part.descriptor, &[]).await {
            Ok(_) => Ok(true),
            Err(TrustError::Refused(refusal)) => {
                tracing::info!(%refusal, "a referrer is left out");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
