//! An image that an index lists beside the one that has the name, made from its kept blobs.

use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use spec::{Algorithm, Descriptor, Platform, Reference};
use store::{Commit, DriverKind, Image, Lease, NewImage, Store};

use crate::error::Mistake;
use crate::kept::Kept;
use crate::pull::plan::{Plan, require_room};
use crate::transfer::{LayerJob, ReadyLayer, Watchers};
use crate::{Engine, EngineError, Result, resolve};

/// An image that is here as blobs, and what is to be done for its layers.
struct Part {
    image: Image,
    manifest: Descriptor,
    plan: Plan,
}

impl Engine {
    /// Makes what is here for a platform of the index that the image `source` came with an image of its own, called `target`. Returns `None`
    /// if the image that has the name is for the platform itself.
    pub(super) async fn tag_part(
        &self,
        source: &str,
        platform: Platform,
        target: &Reference,
    ) -> Result<Option<Image>> {
        let lease = self.lease().await?;
        let (held, source) = (Arc::clone(&lease), source.to_owned());
        let found = self.on_disk(move |store| find(store, &held, &source, &platform)).await?;
        let Some(Part { image, manifest, plan }) = found else { return Ok(None) };
        let layers = self.unpack_part(&lease, &plan).await?;
        let _turn = self.0.publishing.lock().await;
        let reference = target.clone();
        self.on_disk(move |store| {
            let new = NewImage {
                id: image.id.clone(),
                config: image.config.bytes().clone(),
                manifests: vec![manifest],
                parts: Vec::new(),
            };
            let commit = Commit {
                layers: layers.iter().filter_map(|layer| layer.take_staged()).collect(),
                image: Some(new),
                references: vec![(reference, image.id.clone())],
                ..Commit::default()
            };
            store.commit(&lease, commit)?;
            Ok(Some(image))
        })
        .await
    }

    /// Makes the layers of what is here for a platform of the index that an image came with, for as long as the lease lives that comes
    /// with it. Without a platform, or if the image that has the name is for it itself, there is only a lease to hold that by.
    pub(crate) async fn part_layers(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<(Arc<Lease>, Option<Image>)> {
        let Some(platform) = platform.cloned() else {
            return Ok((self.reading_lease().await?, None));
        };
        let (source, wanted) = (name.to_owned(), platform.clone());
        let is_part = self.on_disk(move |store| {
            let references = store.references()?;
            Ok(resolve::image(store, &references, &source, Some(&wanted))?.part.is_some())
        });
        if !is_part.await? {
            return Ok((self.reading_lease().await?, None));
        }
        let lease = self.lease().await?;
        let (held, source) = (Arc::clone(&lease), name.to_owned());
        let found = self.on_disk(move |store| find(store, &held, &source, &platform)).await?;
        let Some(Part { image, plan, .. }) = found else { return Ok((lease, None)) };
        let layers = self.unpack_part(&lease, &plan).await?;
        let _turn = self.0.publishing.lock().await;
        self.on_disk(move |store| {
            let layers = layers.iter().filter_map(|layer| layer.take_staged()).collect();
            store.commit(&lease, Commit { layers, ..Commit::default() })?;
            Ok((lease, Some(image)))
        })
        .await
    }

    /// Unpacks the layers that are not here.
    async fn unpack_part(&self, lease: &Arc<Lease>, plan: &Plan) -> Result<Vec<Arc<ReadyLayer>>> {
        let layers = plan.layers.clone();
        self.on_disk(move |store| require_room(store, &layers)).await?;
        let job = |planned: &crate::transfer::PlannedLayer| LayerJob {
            engine: self.clone(),
            remote: None,
            lease: Arc::clone(lease),
            planned: planned.clone(),
            watchers: Arc::new(Watchers::default()),
            ahead: Mutex::default(),
        };
        try_join_all(plan.missing().map(|planned| job(planned).run())).await
    }
}

/// Finds what is here for a platform, and holds it. Blocking.
fn find(store: &Store, lease: &Lease, name: &str, wanted: &Platform) -> Result<Option<Part>> {
    let references = store.references()?;
    let named = resolve::find(store, &references, name)?.id;
    lease.hold_image(&named)?;
    let missing = || EngineError::NoSuchImage(name.to_owned());
    let image = store.image(&named)?.ok_or_else(missing)?;
    if wanted.is_exactly(&image.config.value().platform()) {
        return Ok(None);
    }
    let kept = Kept::of(store, &image, store.manifests_of(&named)?)?;
    let listed = kept.for_platform(wanted);
    let made = listed.and_then(|listed| listed.image(store));
    let (Some(manifest), Some(image)) = (listed.and_then(|listed| listed.manifest.clone()), made)
    else {
        resolve::check_platform(store, &named, name, Some(wanted))?;
        return Ok(None);
    };
    if image.id.digest().algorithm() != Algorithm::Sha256 {
        let digest = image.id.digest().clone();
        return Err(EngineError::InvalidParameter(Mistake::ConfigAlgorithm(digest)));
    }
    let os = &image.config.value().os;
    if store.driver() == DriverKind::Overlay2 && !os.is_empty() && !os.eq_ignore_ascii_case("linux")
    {
        return Err(EngineError::OperatingSystem(os.clone()));
    }
    lease.hold_image(&image.id)?;
    lease.hold_blob(&manifest.config.digest)?;
    let plan =
        Plan::make(store, lease, &image.id, &manifest, &image.config.value().rootfs.diff_ids)?;
    let Some(descriptor) = listed.map(|listed| &listed.kept.descriptor) else { return Ok(None) };
    lease.hold_blob(&descriptor.digest)?;
    store.note_use(&named);
    let Descriptor { media_type, digest, size, .. } = descriptor.clone();
    let manifest = Descriptor::new(media_type, digest, size);
    Ok(Some(Part { image, manifest, plan }))
}
