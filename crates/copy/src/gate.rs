//! The judgement on images of a source, before anything of them is stored.

use std::sync::Arc;

use policy::{Guard, ImageName, TrustError};
use registry::Remote;
use spec::{Descriptor, MediaType, Mentioned, Reference};

use crate::document::Document;
use crate::error::Result;
use crate::{Place, Selection, Side};

/// The judge of a source's images, and the name of the one that is meant.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    guard: Arc<Guard>,
    name: ImageName,
}

impl Gate {
    /// Makes one for a place; nothing if nobody is to judge.
    pub(crate) async fn open(
        place: &Place,
        side: &Side,
        remote: Option<&Remote>,
    ) -> Result<Option<Self>> {
        let domain = remote.map(|remote| remote.repository().domain());
        let credentials = side.credentials_of(domain).await;
        let guard = side.trust().guard(remote, &credentials).await?;
        Ok(guard.map(|guard| Self { guard: Arc::new(guard), name: name(place) }))
    }

    /// Returns the same for another tag of the repository.
    pub(crate) fn tagged(&self, reference: &Reference) -> Self {
        Self { guard: Arc::clone(&self.guard), name: ImageName::at_registry(reference) }
    }

    /// Returns the same for another image of the same layout or archive, which policies do not tell apart.
    pub(crate) fn shown_as(&self, shown: String) -> Self {
        Self { guard: Arc::clone(&self.guard), name: self.name.clone().shown_as(shown) }
    }

    /// Fails if an image is refused. A name led to `root`, and `chosen` is what is copied of it.
    pub(crate) async fn admit(
        &self,
        root: (&Document, &MediaType),
        chosen: (&Document, &MediaType),
    ) -> Result<()> {
        let described = |(document, media_type): (&Document, &MediaType)| {
            let size = document.bytes.len() as u64;
            Descriptor::new(media_type.clone(), document.digest.clone(), size)
        };
        let (root, chosen) = (described(root), described(chosen));
        let inner = if chosen.digest == root.digest { Vec::new() } else { vec![chosen] };
        self.guard.admit(&self.name, &root, &inner).await?;
        Ok(())
    }

    /// Says whether what refers to an image is taken. What may be an image itself is judged as one: nobody has vouched for it who vouched
    /// for what it refers to.
    pub(crate) async fn admits_referrer(&self, referrer: &Document) -> Result<bool> {
        let Ok(mentioned) = Mentioned::parse(&referrer.bytes) else { return Ok(true) };
        if !mentioned.may_be_image() {
            return Ok(true);
        }
        let size = referrer.bytes.len() as u64;
        let described = Descriptor::new(mentioned.media_type, referrer.digest.clone(), size);
        match self.guard.admit(&self.name, &described, &[]).await {
            Ok(_) => Ok(true),
            Err(TrustError::Refused(refusal)) => {
                tracing::warn!(%refusal, "what refers to an image, and may be one itself, is left out");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the name that policies have for a place.
fn name(place: &Place) -> ImageName {
    match place {
        Place::Registry(reference) => ImageName::at_registry(reference),
        Place::Daemon(reference) => ImageName::at_daemon(reference),
        Place::Layout(folder, selected) => ImageName::in_file("oci", folder, selection(selected)),
        Place::Directory(folder) => ImageName::in_file("dir", folder, ""),
        Place::OciArchive(Some(file), selected) => {
            ImageName::in_file("oci-archive", file, selection(selected))
        }
        Place::OciArchive(None, _) => ImageName::in_archive("oci-archive", place.to_string()),
        Place::DockerArchive(..) => ImageName::in_archive("docker-archive", place.to_string()),
    }
}

fn selection(selection: &Selection) -> &str {
    selection.name().unwrap_or_default()
}
