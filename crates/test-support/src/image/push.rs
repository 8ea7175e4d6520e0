//! Images into a registry, by the plainest requests that do it.

use std::io;

use super::{Blob, Image, Index, Referrer};
use crate::http::Client;

impl Image {
    /// Pushes the image as `repository:tag`.
    pub fn push(&self, registry: &Client, repository: &str, tag: &str) -> io::Result<()> {
        push_blobs(registry, repository, self)?;
        push_manifest(registry, repository, &self.manifest, tag)
    }
}

impl Index {
    /// Pushes all images, and the index as `repository:tag`.
    pub fn push(&self, registry: &Client, repository: &str, tag: &str) -> io::Result<()> {
        for image in &self.images {
            push_blobs(registry, repository, image)?;
            let digest = image.manifest.digest.to_string();
            push_manifest(registry, repository, &image.manifest, &digest)?;
        }
        push_manifest(registry, repository, &self.manifest, tag)
    }
}

impl Referrer {
    /// Pushes it, and the tag by which it is found where the registry does not list referrers.
    pub fn push(&self, registry: &Client, repository: &str) -> io::Result<()> {
        self.blobs.iter().try_for_each(|blob| push_blob(registry, repository, blob))?;
        push_manifest(registry, repository, &self.manifest, &self.manifest.digest.to_string())?;
        let (tag, index) = &self.fallback;
        push_manifest(registry, repository, index, tag)
    }
}

fn push_blobs(registry: &Client, repository: &str, image: &Image) -> io::Result<()> {
    image.blobs().try_for_each(|blob| push_blob(registry, repository, blob))
}

/// Pushes one blob, unless the repository has it.
pub(crate) fn push_blob(registry: &Client, repository: &str, blob: &Blob) -> io::Result<()> {
    let place = format!("/v2/{repository}/blobs/{}", blob.digest);
    if registry.send("HEAD", &place, &[], b"")?.status == 200 {
        return Ok(());
    }
    let uploads = format!("/v2/{repository}/blobs/uploads/");
    let upload = registry.send("POST", &uploads, &[], b"")?.expect(202)?;
    let location = upload.location().ok_or_else(|| io::Error::other("no Location"))?;
    let separator = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{separator}digest={}", blob.digest);
    let headers = [("Content-Type", "application/octet-stream")];
    registry.send_from("PUT", &target, &headers, blob.open()?, blob.size)?.expect(201)?;
    Ok(())
}

pub(crate) fn push_manifest(
    registry: &Client,
    repository: &str,
    manifest: &Blob,
    reference: &str,
) -> io::Result<()> {
    let place = format!("/v2/{repository}/manifests/{reference}");
    let headers = [("Content-Type", manifest.media_type.as_str())];
    registry.send("PUT", &place, &headers, &manifest.read()?)?.expect(201)?;
    Ok(())
}
