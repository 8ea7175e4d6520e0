//! `inspect`: all that is known of an image.

use std::collections::BTreeMap;

use serde_json::Value;
use spec::{Descriptor, DiffId, ImageId, Platform};
use store::{GraphDriver, Image, Store};

use crate::error::Missing;
use crate::kept::{Kept, KeptManifest};
use crate::resolve::{self, Meant};
use crate::{Engine, EngineError, Result, Verified};

/// Choice of what is to be told of an image.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// The platform that is meant; without, that of the image that has the name.
    pub platform: Option<Platform>,
    /// Also the manifests that its names lead to.
    pub manifests: bool,
}

/// All that is known of an image. Texts are as its config has them.
#[derive(Clone, Debug)]
pub struct ImageDetails {
    /// The image.
    pub id: ImageId,
    /// Its tags, familiar, sorted.
    pub repo_tags: Vec<String>,
    /// Its digests at registries, familiar, sorted.
    pub repo_digests: Vec<String>,
    /// The image that it was built on with the classic builder.
    pub parent: Option<ImageId>,
    /// The note of its maker, or that of its last step.
    pub comment: String,
    /// The time of its making, RFC 3339.
    pub created: Option<String>,
    /// Version of the Docker that made it.
    pub docker_version: Option<String>,
    /// The maker's name.
    pub author: Option<String>,
    /// The settings of its containers.
    pub config: Option<Value>,
    /// The platform that it runs on.
    pub platform: Platform,
    /// The sum of its layers' unpacked sizes in bytes; of what is not unpacked, with its compressed bytes.
    pub size: u64,
    /// The place of its layers.
    pub graph_driver: GraphDriver,
    /// Its layers, the bottom one first.
    pub layers: Vec<DiffId>,
    /// The time of its last new name, RFC 3339.
    pub last_tag_time: Option<String>,
    /// Its manifest, if it is not the image that has the name, but another one of its index.
    pub descriptor: Option<Descriptor>,
    /// Those whom a policy trusted for it when it was pulled.
    pub verified: Vec<Verified>,
    /// The manifests that its names lead to, if they were asked for.
    pub manifests: Option<Vec<KeptManifest>>,
}

impl Engine {
    /// Returns what is known of the image `name`.
    pub async fn inspect(&self, name: &str, options: InspectOptions) -> Result<ImageDetails> {
        let name = name.to_owned();
        self.on_disk(move |store| details(store, &name, &options)).await
    }
}

fn details(store: &Store, name: &str, options: &InspectOptions) -> Result<ImageDetails> {
    let references = store.references()?;
    let meant = resolve::image(store, &references, name, options.platform.as_ref())?;
    let Meant { named, image, part } = &meant;
    let (id, config) = (&named.id, image.config.value());
    let (digests, tags): (Vec<_>, Vec<_>) =
        references.of_image(id).iter().partition(|reference| reference.digest().is_some());
    let manifests = options.manifests.then(|| -> Result<Vec<KeptManifest>> {
        let kept = Kept::of(store, named, store.manifests_of(id)?)?;
        Ok(kept.manifests().map(|listed| listed.kept.clone()).collect())
    });
    let last_comment = || config.history.last().and_then(|step| step.comment.clone());
    let comment =
        config.comment.clone().filter(|comment| !comment.is_empty()).or_else(last_comment);
    Ok(ImageDetails {
        repo_tags: tags.iter().map(|reference| reference.familiar()).collect(),
        repo_digests: digests.iter().map(|reference| reference.familiar()).collect(),
        parent: if part.is_none() { store.parent(id)? } else { None },
        comment: comment.unwrap_or_default(),
        created: config.created.clone(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: config.config.clone(),
        platform: config.platform(),
        size: match part {
            Some(part) => part.size(),
            None => size(store, image)?,
        },
        graph_driver: match image.layers.last().filter(|_| part.is_none()) {
            Some(top) => store.graph_driver(top)?,
            None => GraphDriver { name: store.driver().to_string(), data: BTreeMap::new() },
        },
        layers: config.rootfs.diff_ids.clone(),
        last_tag_time: store.last_updated(id)?.map(|time| time.to_string()),
        descriptor: part.as_ref().map(|part| part.descriptor.clone()),
        verified: Verified::of(store, id, part.as_ref().map(|part| &part.descriptor))?,
        manifests: manifests.transpose()?,
        id: image.id.clone(),
    })
}

fn size(store: &Store, image: &Image) -> Result<u64> {
    let mut size: u64 = 0;
    for chain_id in &image.layers {
        let layer = store.layer(chain_id)?.ok_or_else(|| {
            EngineError::Missing(Missing::LayerOfImage {
                layer: chain_id.clone(),
                image: image.id.clone(),
            })
        })?;
        size = size.saturating_add(layer.size);
    }
    Ok(size)
}

#[cfg(test)]
mod tests;
