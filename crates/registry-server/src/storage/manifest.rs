//! The manifests, tags and referrers of a repository.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spec::{Algorithm, Descriptor, Digest, Hasher, MAX_MANIFEST_SIZE, Manifest, Tag};

use crate::error::{IoContext as _, ServerError};
use crate::name::RepositoryName;

use super::blob::exists;
use super::{Storage, found};

/// The name of a manifest in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(Tag),
    Digest(Digest),
}

/// The text is neither a tag nor a digest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidReference;

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        // A tag has no colon and a digest always has.
        match text.parse() {
            Ok(digest) => Ok(Reference::Digest(digest)),
            Err(_) => text.parse().map(Reference::Tag).map_err(|_| InvalidReference),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reference::Tag(tag) => f.write_str(tag.as_str()),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A manifest as it was pushed.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

/// The part of a manifest that says what it is about, if it is about another.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    #[serde(default)]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl About {
    /// Reads it from a manifest's bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<About, serde_json::Error> {
        spec::from_go_json(bytes)
    }
}

/// A referrer's entry in the index that answers for its subject.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

/// Content that a pushed manifest needs and the repository has not, or has in another size.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    pub(crate) unknown: Vec<Digest>,
    pub(crate) wrong_size: Vec<Digest>,
}

impl Storage {
    /// Finds a manifest's digest.
    fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Digest>, ServerError> {
        let tag = match reference {
            Reference::Digest(digest) => return Ok(Some(digest.clone())),
            Reference::Tag(tag) => tag,
        };
        let path = self.tag(repository, tag);
        let Some(text) = found(fs::read_to_string(&path)).context("read", &path)? else {
            return Ok(None);
        };
        let digest = text.parse().map_err(|_| ServerError::Damaged {
            path,
            reason: "a tag's file does not hold a digest",
        })?;
        Ok(Some(digest))
    }

    /// Reads a manifest that the repository has.
    pub(crate) fn read_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>, ServerError> {
        let Some(digest) = self.resolve(repository, reference)? else { return Ok(None) };
        let path = self.manifest(repository, &digest);
        let Some(media_type) = found(fs::read_to_string(&path)).context("read", &path)? else {
            return Ok(None);
        };
        let Some(blob) = self.open_content(&digest)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let path = self.content(&digest);
        blob.file.take(MAX_MANIFEST_SIZE).read_to_end(&mut bytes).context("read", &path)?;
        Ok(Some(StoredManifest { media_type, digest, bytes: bytes.into() }))
    }

    /// Accepts a manifest whose digest has been checked, and points the tag at it.
    pub(crate) fn put_manifest(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        stored: &StoredManifest,
        manifest: &Manifest,
        about: &About,
    ) -> Result<Result<(), Lacking>, ServerError> {
        let _held = self.hold(repository);
        let lacking = self.lacking(repository, manifest)?;
        if !lacking.unknown.is_empty() || !lacking.wrong_size.is_empty() {
            return Ok(Err(lacking));
        }
        self.write_content(&stored.digest, &stored.bytes)?;
        let link = self.manifest(repository, &stored.digest);
        self.write(&link, stored.media_type.as_bytes())?;
        self.put_referrer(repository, stored, manifest, about)?;
        if let Some(tag) = tag {
            self.write(&self.tag(repository, tag), stored.digest.to_string().as_bytes())?;
        }
        Ok(Ok(()))
    }

    /// Blobs that a registry may not redistribute come with the places that may, and need not be
    /// here.
    fn lacking(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<Lacking, ServerError> {
        let mut lacking = Lacking::default();
        let mut check = |needed: &Descriptor, link: std::path::PathBuf| {
            let content = self.content(&needed.digest);
            let metadata = if exists(&link)? {
                found(fs::metadata(&content)).context("examine", &content)?
            } else {
                None
            };
            match metadata.map(|metadata| metadata.len()) {
                None => lacking.unknown.push(needed.digest.clone()),
                Some(size) if size != needed.size => lacking.wrong_size.push(needed.digest.clone()),
                Some(_) => {}
            }
            Ok::<(), ServerError>(())
        };
        match manifest {
            Manifest::Image(image) => {
                let elsewhere = |layer: &Descriptor| {
                    layer.media_type.is_foreign_layer() && !layer.urls.is_empty()
                };
                let layers = image.layers.iter().filter(|layer| !elsewhere(layer));
                for needed in layers.chain([&image.config]) {
                    check(needed, self.layer(repository, &needed.digest))?;
                }
            }
            Manifest::Index(index) => {
                for needed in &index.manifests {
                    check(needed, self.manifest(repository, &needed.digest))?;
                }
            }
        }
        Ok(lacking)
    }

    fn put_referrer(
        &self,
        repository: &RepositoryName,
        stored: &StoredManifest,
        manifest: &Manifest,
        about: &About,
    ) -> Result<(), ServerError> {
        let Some(subject) = &about.subject else { return Ok(()) };
        // The specification: an image manifest without a type of its own has its config's.
        let artifact_type = match (&about.artifact_type, manifest) {
            (Some(artifact_type), _) => Some(artifact_type.clone()),
            (None, Manifest::Image(image)) => Some(image.config.media_type.to_string()),
            (None, Manifest::Index(_)) => None,
        };
        let referrer = Referrer {
            media_type: stored.media_type.clone(),
            digest: stored.digest.clone(),
            size: stored.bytes.len() as u64,
            artifact_type,
            annotations: about.annotations.clone(),
        };
        let path = self.referrers(repository, &subject.digest).join(file_name(&stored.digest));
        let json = serde_json::to_vec(&referrer).map_err(|source| ServerError::Io {
            action: "encode",
            path: path.clone(),
            source: source.into(),
        })?;
        self.write(&path, &json)
    }

    /// Removes a tag, or a manifest with every tag that points at it; says whether it was there.
    pub(crate) fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<bool, ServerError> {
        let _held = self.hold(repository);
        let digest = match reference {
            Reference::Tag(tag) => return self.remove(&self.tag(repository, tag)),
            Reference::Digest(digest) => digest,
        };
        let Some(stored) = self.read_manifest(repository, reference)? else { return Ok(false) };
        for name in super::publish::names(&self.tags(repository))? {
            let Ok(tag) = name.parse::<Tag>() else { continue };
            if self.resolve(repository, &Reference::Tag(tag.clone()))?.as_ref() == Some(digest) {
                self.remove(&self.tag(repository, &tag))?;
            }
        }
        if let Ok(About { subject: Some(subject), .. }) = About::parse(&stored.bytes) {
            self.remove(&self.referrers(repository, &subject.digest).join(file_name(digest)))?;
        }
        self.remove(&self.manifest(repository, digest))
    }
}

/// A digest as one component of a path.
pub(super) fn file_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.hex())
}

/// Hashes a manifest as its reference asks: by the algorithm of the digest it is pushed by.
pub(crate) fn digest_of(reference: &Reference, bytes: &[u8]) -> Digest {
    let algorithm = match reference {
        Reference::Digest(digest) => digest.algorithm(),
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let hex = "a".repeat(64);
        for (text, expected) in [
            ("latest", "tag"),
            ("_x", "tag"),
            ("1.2-rc_3", "tag"),
            (&format!("sha256:{hex}"), "digest"),
            (&format!("sha512:{hex}{hex}"), "digest"),
            (&format!("sha256:{}", hex.to_uppercase()), ""),
            ("sha256:..", ""),
            ("", ""),
            (".", ""),
            ("..", ""),
            (".hidden", ""),
            ("a/b", ""),
            ("a b", ""),
            (&"a".repeat(129), ""),
        ] {
            let found = match text.parse() {
                Ok(Reference::Tag(_)) => "tag",
                Ok(Reference::Digest(_)) => "digest",
                Err(InvalidReference) => "",
            };
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
