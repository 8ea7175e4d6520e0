//! `manifest push`: a list of manifests that was made by a client, and the manifests that it lists.

use bytes::Bytes;
use registry::{Access, Caller, Credentials, Mounted, Remote, TagOrDigest};
use spec::{Digest, Manifest, MediaType, Reference, Repository, Tag};

use crate::error::Mistake;
use crate::{Engine, EngineError, Result};

/// A list to be stored at a registry.
#[derive(Clone, Debug)]
pub struct ListPush {
    /// Its name.
    pub reference: Reference,
    /// Its type.
    pub media_type: MediaType,
    /// The document as it is sent.
    pub bytes: Bytes,
    /// Manifests that it lists and its repository may not have.
    pub images: Vec<ListedImage>,
    /// True if plain HTTP and any certificate will do.
    pub insecure: bool,
    /// The credentials for the registry itself.
    pub credentials: Credentials,
    /// On whose behalf.
    pub caller: Caller,
}

/// A manifest in another repository of the same registry.
#[derive(Clone, Debug)]
pub struct ListedImage {
    /// The repository that has it.
    pub repository: Repository,
    /// Its type.
    pub media_type: MediaType,
    /// The document as it is sent.
    pub bytes: Bytes,
    /// Its digest, which is the list's word for it.
    pub digest: Digest,
}

impl Engine {
    /// Stores a list. What it lists is stored first, with the blobs mounted from where they are: nothing is sent but
    /// manifests. Returns the list's digest.
    pub async fn push_list(&self, push: &ListPush) -> Result<Digest> {
        let repository = push.reference.repository();
        let mut client = self.network().client.on_behalf_of(push.caller.clone());
        if push.insecure {
            client = client.also_insecure(repository.domain()).map_err(EngineError::Registry)?;
        }
        let remote = client.remote(repository, &push.credentials, Access::Push).await;
        let remote = remote.map_err(EngineError::Registry)?;
        for image in &push.images {
            mount(&remote, image, push).await?;
        }
        for image in &push.images {
            let target = TagOrDigest::Digest(image.digest.clone());
            let put = remote.put_manifest(&target, &image.media_type, image.bytes.clone()).await;
            put.map_err(EngineError::Registry)?;
        }
        // Docker's file of a list may be called by any digest; the list goes under its own.
        let target = match (push.reference.tag(), push.reference.digest()) {
            (None, Some(_)) => TagOrDigest::Digest(Digest::sha256(&push.bytes)),
            (tag, _) => TagOrDigest::Tag(tag.cloned().unwrap_or_else(Tag::latest)),
        };
        let put = remote.put_manifest(&target, &push.media_type, push.bytes.clone()).await;
        put.map_err(EngineError::Registry)
    }
}

/// Takes the blobs of an image over. As with docker, the layers of Windows that nobody may pass on need not be there.
async fn mount(remote: &Remote, image: &ListedImage, push: &ListPush) -> Result<()> {
    let manifest = Manifest::parse(Some(&image.media_type), &image.bytes)
        .map_err(|source| EngineError::Manifest { reference: push.reference.familiar(), source })?;
    let Manifest::Image(manifest) = manifest else {
        return Err(EngineError::InvalidParameter(Mistake::NestedIndex));
    };
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        let mounted = remote.mount(&blob.digest, &image.repository).await;
        let Mounted::Started(upload) = mounted.map_err(EngineError::Registry)? else { continue };
        // Only to be kind: the registry forgets it by itself, too.
        let _ = upload.cancel().await;
        if !blob.media_type.is_foreign_layer() {
            let (from, to) = (&image.repository, &push.reference);
            return Err(EngineError::InvalidParameter(Mistake::NotMounted(format!(
                "{from}@{} to {to}",
                blob.digest
            ))));
        }
    }
    Ok(())
}
