//! An archive as `docker save` made it before image layouts: configs and layers, and no manifest.
//!
//! The manifest is made here, of the files as they are: a layer that is not compressed stays so.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use archive::Compression;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spec::{
    Algorithm, Descriptor, Digest, Hasher, MAX_CONFIG_SIZE, MediaType, Reference, from_go_json,
};

use tokio::sync::OnceCell;

use super::list::Named;
use super::read::{document, file, open_blob, read};
use crate::CopyError;
use crate::document::Document;
use crate::error::Result;
use crate::files::blocking::blocking;
use crate::files::region::Region;
use crate::files::tree::Tree;
use crate::pieces::Pieces;

/// The largest list of images: room for some 10,000.
const MAX_LIST: u64 = 16 << 20;
/// The bytes by which a compression is known, and those that are hashed at once.
const MAGIC: usize = 16;
const PIECE: usize = 256 << 10;
/// The most layers of an image; the storage drivers have limits of their own.
const MAX_LAYERS: usize = 20_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The fields in the order in which Docker writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'a MediaType,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
}

#[derive(Clone, Debug)]
pub(crate) struct DockerSource {
    place: Arc<str>,
    tree: Tree,
    listed: Arc<Vec<Listed>>,
    name: Option<Reference>,
    made: Arc<OnceCell<Made>>,
}

/// The manifest of one image, which is made of its files.
#[derive(Debug)]
struct Made {
    root: Document,
    /// The files of the blobs.
    files: HashMap<Digest, String>,
}

impl fmt::Display for DockerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{}", self.place, name.familiar()),
            None => f.write_str(&self.place),
        }
    }
}

impl DockerSource {
    /// Reads which images an archive has.
    pub(crate) async fn open(place: &str, tree: Tree, name: Option<&Reference>) -> Result<Self> {
        let path = format!("{place}/manifest.json");
        let list = file(&tree, place, "manifest.json").await?;
        let list = list.ok_or_else(|| CopyError::NoArchive { place: place.to_owned() })?;
        let bytes = read(list, path.clone(), MAX_LIST).await?;
        let listed: Vec<Option<Listed>> =
            from_go_json(&bytes).map_err(|source| CopyError::Json { path, source })?;
        let listed = Arc::new(listed.into_iter().flatten().collect());
        Ok(Self { place: place.into(), tree, listed, name: name.cloned(), made: Arc::default() })
    }

    /// Lists the images, each by all of its names.
    pub(crate) fn images(&self) -> Vec<Named<Self>> {
        let mut images = Vec::new();
        for image in self.listed.iter() {
            let identity = &image.config;
            let names = image.repo_tags.iter().flatten();
            for name in names.filter_map(|name| Reference::parse_familiar(name).ok()) {
                let text = name.to_string();
                let source = Self { name: Some(name), made: Arc::default(), ..self.clone() };
                images.push(Named { identity: identity.clone(), name: Some(text), source });
            }
            if image.repo_tags.as_ref().is_none_or(Vec::is_empty) {
                let place = format!("{}/{identity}", self.place).into();
                let source = Self { place, name: None, ..self.clone() };
                images.push(Named { identity: identity.clone(), name: None, source });
            }
        }
        images
    }

    async fn made(&self) -> Result<&Made> {
        self.made.get_or_try_init(|| self.make()).await
    }

    /// Chooses the image, and makes its manifest.
    async fn make(&self) -> Result<Made> {
        let (tree, place) = (&self.tree, &*self.place);
        let image = choose(place, &self.listed, self.name.as_ref())?;
        let mut files = HashMap::new();
        let bytes = document(tree, place, image.config.clone(), None).await?;
        if bytes.len() as u64 > MAX_CONFIG_SIZE {
            let path = format!("{place}/{}", image.config);
            return Err(CopyError::TooLarge { path, limit: MAX_CONFIG_SIZE });
        }
        let digest = Digest::sha256(&bytes);
        let config = Descriptor::new(MediaType::DockerConfig, digest.clone(), bytes.len() as u64);
        files.insert(digest, image.config.clone());
        let mut layers = Vec::new();
        for path in image.layers.iter().flatten() {
            let shown = format!("{place}/{path}");
            if layers.len() >= MAX_LAYERS {
                return Err(CopyError::TooLarge { path: shown, limit: MAX_LAYERS as u64 });
            }
            let layer = file(tree, place, path).await?;
            let layer = layer.ok_or_else(|| CopyError::Missing { path: shown.clone() })?;
            let described = blocking(move || describe(&layer)).await;
            let layer =
                described.map_err(|source| CopyError::Read { path: shown.clone(), source })?;
            let layer = layer.ok_or(CopyError::Compression { path: shown })?;
            files.insert(layer.digest.clone(), path.clone());
            layers.push(layer);
        }
        let media_type = MediaType::DockerManifest;
        let manifest = Manifest {
            schema_version: 2,
            media_type: &media_type,
            config: &config,
            layers: &layers,
        };
        let bytes = serde_json::to_vec(&manifest)
            .map_err(|source| CopyError::Json { path: format!("{place}/manifest.json"), source })?;
        let (digest, bytes) = (Digest::sha256(&bytes), Bytes::from(bytes));
        let root = Document { bytes, media_type: Some(media_type), digest };
        Ok(Made { root, files })
    }

    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        let Made { root, .. } = self.made().await?;
        match digest {
            Some(digest) if *digest != root.digest => {
                Err(CopyError::Missing { path: format!("{}/{digest}", self.place) })
            }
            _ => Ok(root.clone()),
        }
    }

    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        let Some(path) = self.made().await?.files.get(&blob.digest) else {
            return Err(CopyError::Missing { path: format!("{}/{}", self.place, blob.digest) });
        };
        open_blob(&self.tree, &self.place, path.clone(), start).await
    }
}

/// Returns the image with a name, or the only one.
fn choose<'l>(place: &str, listed: &'l [Listed], name: Option<&Reference>) -> Result<&'l Listed> {
    let is_meant = |image: &&Listed| {
        let tags = image.repo_tags.as_deref().unwrap_or_default();
        name.is_none_or(|name| {
            tags.iter().any(|tag| Reference::parse_familiar(tag).is_ok_and(|tag| tag == *name))
        })
    };
    let mut found = listed.iter().filter(is_meant);
    if let (Some(only), None) = (found.next(), found.next()) {
        return Ok(only);
    }
    let names = listed.iter().flat_map(|image| image.repo_tags.clone().unwrap_or_default());
    let names: Vec<String> = names.take(20).collect();
    Err(CopyError::NoImage {
        place: name.map_or_else(|| place.to_owned(), |name| format!("{place}:{name}")),
        found: if names.is_empty() { "none with a name".to_owned() } else { names.join(", ") },
    })
}

/// Hashes a layer and finds out its type; nothing if images have no such type. Blocking.
fn describe(layer: &Region) -> std::io::Result<Option<Descriptor>> {
    let (mut reader, mut hasher) = (layer.reader(), Hasher::new(Algorithm::Sha256));
    let (mut piece, mut media_type) = (vec![0; PIECE], None);
    loop {
        let length = reader.read(&mut piece)?;
        if length == 0 {
            break;
        }
        if media_type.is_none() {
            media_type = Some(match Compression::detect(&piece[..length.min(MAGIC)]) {
                Compression::None => MediaType::DockerLayer,
                Compression::Gzip => MediaType::DockerLayerGzip,
                Compression::Zstd => MediaType::DockerLayerZstd,
                _ => return Ok(None),
            });
        }
        hasher.update(&piece[..length]);
    }
    let media_type = media_type.unwrap_or(MediaType::DockerLayer);
    Ok(Some(Descriptor::new(media_type, hasher.finish(), layer.size)))
}
