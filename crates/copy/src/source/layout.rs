//! An OCI image layout, in a folder or an archive.

use std::fmt;
use std::sync::Arc;

use spec::{Descriptor, Digest, Tag, from_go_json};

use crate::CopyError;
use crate::document::Document;
use crate::error::Result;
use crate::files::tree::Tree;
use crate::pieces::Pieces;
use crate::place::Selection;
use crate::source::read::{document, file, open_blob, read};

/// The largest `index.json`: room for some 10,000 images.
pub(crate) const MAX_INDEX: u64 = 16 << 20;
/// The file that says that a folder is a layout, and what it says.
pub(crate) const MARK: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
/// The names of an image: what skopeo and crane read and write, and what containerd and dockers do.
pub(crate) const NAME_ANNOTATIONS: [&str; 2] =
    ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

#[derive(serde::Deserialize)]
struct IndexFile {
    // An entry that is nothing names nothing.
    manifests: Vec<Option<Descriptor>>,
}

#[derive(Clone, Debug)]
pub(crate) struct LayoutSource {
    /// The place as it is told to a user.
    place: Arc<str>,
    tree: Tree,
    entries: Arc<Vec<Descriptor>>,
    wanted: Selection,
}

impl fmt::Display for LayoutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.wanted)
    }
}

impl LayoutSource {
    /// Reads the list of images of a layout.
    pub(crate) async fn open(place: &str, tree: Tree, wanted: &Selection) -> Result<Self> {
        let file = file(&tree, place, "index.json").await?;
        let file = file.ok_or_else(|| CopyError::NoLayout { place: place.to_owned() })?;
        let path = format!("{place}/index.json");
        let bytes = read(file, path.clone(), MAX_INDEX).await?;
        let index = from_go_json::<IndexFile>(&bytes);
        let index = index.map_err(|source| CopyError::Json { path, source })?;
        let entries: Vec<Descriptor> = index.manifests.into_iter().flatten().collect();
        let (place, wanted) = (place.into(), wanted.clone());
        Ok(Self { place, tree, entries: Arc::new(entries), wanted })
    }

    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        Self { wanted: Selection::Name(tag.to_string()), ..self.clone() }
    }

    /// Lists the names that are tags.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        let names =
            self.entries.iter().filter_map(|entry| entry.annotations.get(NAME_ANNOTATIONS[0]));
        names.filter_map(|name| name.parse().ok()).collect()
    }

    fn digest(&self) -> Result<Digest> {
        Ok(match &self.wanted {
            Selection::Digest(digest) => digest.clone(),
            _ => self.entry()?.digest.clone(),
        })
    }

    /// Returns the entry that is meant: the one with the name, or the only one.
    fn entry(&self) -> Result<&Descriptor> {
        let names = |entry: &Descriptor| {
            let names = NAME_ANNOTATIONS.iter().filter_map(|name| entry.annotations.get(*name));
            names.cloned().collect::<Vec<String>>()
        };
        let found = match &self.wanted {
            // One image may have several names.
            Selection::Only => Some(&self.entries[..])
                .filter(|all| all.iter().all(|entry| entry.digest == all[0].digest)),
            Selection::Name(name) => {
                let found = self.entries.iter().position(|entry| names(entry).contains(name));
                found.map(|at| &self.entries[at..=at])
            }
            Selection::Digest(digest) => {
                let found = self.entries.iter().position(|entry| entry.digest == *digest);
                found.map(|at| &self.entries[at..=at])
            }
        };
        let told = || {
            let of = |entry: &Descriptor| {
                let names = names(entry);
                names.first().cloned().unwrap_or_else(|| format!("@{}", entry.digest))
            };
            self.entries.iter().take(20).map(of).collect::<Vec<_>>().join(", ")
        };
        found.and_then(<[_]>::first).ok_or_else(|| CopyError::NoImage {
            place: self.to_string(),
            found: if self.entries.is_empty() { "none".to_owned() } else { told() },
        })
    }

    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        let media_type = match (digest, &self.wanted) {
            (None, Selection::Only | Selection::Name(_)) => Some(self.entry()?.media_type.clone()),
            _ => None,
        };
        let digest = match digest {
            Some(digest) => digest.clone(),
            None => self.digest()?,
        };
        let bytes = document(&self.tree, &self.place, blob_path(&digest), Some(&digest)).await?;
        Ok(Document { bytes, media_type, digest })
    }

    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        open_blob(&self.tree, &self.place, blob_path(&blob.digest), start).await
    }
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
