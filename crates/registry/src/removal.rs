//! Deletion at a registry: manifests, tags, blobs.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use bytes::Bytes;
use http::StatusCode;
use reqwest::Method;
use spec::{Descriptor, Digest, MediaType, Tag};

use crate::{
    FetchedManifest, RegistryError, Remote, TagOrDigest,
    hosts::access::Need,
    http::endpoint::{Call, Redirects},
    manifests::{about, manifest_path},
};

/// An empty tar, compressed by gzip: the layer of what takes a tag's place. Its diff ID is [`EMPTY_TAR`]. It is the one that
/// Docker's own tools have always made, so that most registries have it.
const EMPTY_LAYER: [u8; 32] = [
    31, 139, 8, 0, 0, 9, 110, 136, 0, 255, 98, 24, 5, 163, 96, 20, 140, 88, 0, 8, 0, 0, 255, 255,
    46, 175, 181, 239, 0, 4, 0, 0,
];
const EMPTY_TAR: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// The way in which a tag was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRemoval {
    /// The registry deletes tags.
    Tag,
    /// The registry deletes only manifests: the tag was moved to an empty image of its own, and that was deleted.
    Stand,
}

/// An image that has nothing in it and is like no other.
struct StandIn {
    media_type: MediaType,
    digest: Digest,
    bytes: Bytes,
    /// Its blobs, which it needs at the registry.
    blobs: [(Descriptor, Bytes); 2],
}

impl Remote {
    /// Deletes a manifest, and with it every tag that means it. If it refers to another one, it is no longer listed there.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), RegistryError> {
        let target = TagOrDigest::Digest(digest.clone());
        let subject = match self.manifest(&target).await {
            Ok(fetched) => about::subject(&fetched.bytes),
            Err(error) if error.is_not_found() => return Err(error),
            // What cannot be read can be deleted.
            Err(_) => None,
        };
        self.delete_named(&target).await?;
        match subject {
            Some(subject) => self.forget_referrer(&subject, digest).await,
            None => Ok(()),
        }
    }

    /// Deletes a blob from the repository.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), RegistryError> {
        self.delete(&format!("{}/blobs/{digest}", self.repository().path())).await
    }

    /// Deletes a tag and nothing else: the manifest stays, and other tags that mean it.
    pub async fn delete_tag(&self, tag: &Tag) -> Result<TagRemoval, RegistryError> {
        let target = TagOrDigest::Tag(tag.clone());
        // It tells in the registry's words of a tag that is not there.
        self.resolve(&target).await?;
        match self.delete_named(&target).await {
            Ok(()) => Ok(TagRemoval::Tag),
            Err(error) if knows_no_tags(&error) => {
                tracing::debug!(%error, "tags are not deleted here, moving it to a manifest that is");
                self.replace(&target).await?;
                Ok(TagRemoval::Stand)
            }
            Err(error) => Err(error),
        }
    }

    /// Points a tag at a manifest of its own, and deletes that.
    ///
    /// That manifests may be deleted here is found out before the tag is touched, and should it fail in the end, the tag
    /// gets its meaning back.
    async fn replace(&self, tag: &TagOrDigest) -> Result<(), RegistryError> {
        let before = self.manifest(tag).await?;
        let stand_in = StandIn::like(&before);
        for (blob, bytes) in &stand_in.blobs {
            if self.blob_presence(&blob.digest).await?.is_none() {
                let mut upload = self.start_upload().await?;
                let body = futures_util::stream::iter([Ok(bytes.clone())]);
                upload.send(body, Some(blob.size), &blob.digest).await?;
            }
        }
        let itself = TagOrDigest::Digest(stand_in.digest.clone());
        let put = |target| self.put_manifest(target, &stand_in.media_type, stand_in.bytes.clone());
        put(&itself).await?;
        self.delete_named(&itself).await?;
        put(tag).await?;
        let deleted = match self.delete_named(&itself).await {
            // The tag has to be gone with it.
            Ok(()) => self.expect_gone(tag).await,
            failed => failed,
        };
        let Err(error) = deleted else { return Ok(()) };
        let media_type = before.media_type.unwrap_or(stand_in.media_type);
        if let Err(failed) = self.put_manifest(tag, &media_type, before.bytes).await {
            tracing::warn!(%tag, digest = %before.digest, error = %failed, "the tag did not get its manifest back");
        }
        Err(error)
    }

    /// Deletes a manifest or a tag, and sees to it that it is gone.
    async fn delete_named(&self, target: &TagOrDigest) -> Result<(), RegistryError> {
        self.delete(&manifest_path(self.repository(), target)).await?;
        self.expect_gone(target).await
    }

    /// Fails if something is there that was deleted. A registry that does not tell is believed.
    async fn expect_gone(&self, target: &TagOrDigest) -> Result<(), RegistryError> {
        match self.look_where_written(target).await {
            Ok(Some(_)) => Err(RegistryError::StillThere { name: self.name_of(target) }),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, %target, "cannot see whether it is gone");
                Ok(())
            }
        }
    }

    /// Deletes what is at a path, at this host or not at all.
    async fn delete(&self, path: &str) -> Result<(), RegistryError> {
        let wanted = [StatusCode::ACCEPTED, StatusCode::OK, StatusCode::NO_CONTENT];
        let asked = self.ask(Need::Push, |session| async move {
            let call = Call::new(Method::DELETE, session.endpoint.url(path));
            let call = call.redirects(Redirects::Within).slow();
            session.send(call).await?.expect(&wanted).await?.discard().await;
            Ok(())
        });
        asked.await.map(|((), _)| ())
    }
}

/// Tells whether a registry refuses to delete by tag what it may delete by digest. Docker's registry, and many like it, do not
/// even know a manifest by that name.
fn knows_no_tags(error: &RegistryError) -> bool {
    matches!(error.refused_status(), Some(400 | 404 | 405 | 501))
}

impl StandIn {
    /// Makes one of the same school as an image.
    fn like(image: &FetchedManifest) -> Self {
        let is_docker = matches!(
            image.media_type,
            Some(MediaType::DockerManifest | MediaType::DockerManifestList)
        );
        let [media_type, config_type, layer_type] = if is_docker {
            [MediaType::DockerManifest, MediaType::DockerConfig, MediaType::DockerLayerGzip]
        } else {
            [MediaType::OciManifest, MediaType::OciConfig, MediaType::OciLayerGzip]
        };
        let half = || RandomState::new().build_hasher().finish();
        let nonce = format!("{:016x}{:016x}", half(), half());
        let config = serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "longshore.stands-in-for-a-deleted-tag": nonce } },
            "rootfs": { "type": "layers", "diff_ids": [EMPTY_TAR] },
        });
        let blob = |media_type, bytes: Bytes| {
            let size = bytes.len() as u64;
            (Descriptor::new(media_type, Digest::sha256(&bytes), size), bytes)
        };
        let config = blob(config_type, config.to_string().into());
        let layer = blob(layer_type, Bytes::from_static(&EMPTY_LAYER));
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.0,
            "layers": [layer.0],
        });
        let bytes = Bytes::from(manifest.to_string());
        Self { media_type, digest: Digest::sha256(&bytes), bytes, blobs: [config, layer] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_layer_is_dockers() {
        let digest = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
        assert_eq!(Digest::sha256(&EMPTY_LAYER).to_string(), digest);
        assert_eq!(Digest::sha256(&[0; 1024]).to_string(), EMPTY_TAR);
    }
}
