//! `inspect`: all that is known of an image.

use std::collections::BTreeMap;

use serde_json::Value;
use spec::{Descriptor, DiffId, ImageId, Platform};
use store::{GraphDriver, Store};

use crate::error::Missing;
use crate::{Engine, EngineError, Result, resolve};

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
    /// The sum of its layers' unpacked sizes in bytes.
    pub size: u64,
    /// The place of its layers.
    pub graph_driver: GraphDriver,
    /// Its layers, the bottom one first.
    pub layers: Vec<DiffId>,
    /// The time of its last new name, RFC 3339.
    pub last_tag_time: Option<String>,
    /// The manifests that it was pulled with.
    pub manifests: Vec<Descriptor>,
}

impl Engine {
    /// Returns what is known of the image `name`, provided that it runs on `platform` if one is given.
    pub async fn inspect(&self, name: &str, platform: Option<Platform>) -> Result<ImageDetails> {
        let name = name.to_owned();
        self.on_disk(move |store| details(store, &name, platform.as_ref())).await
    }
}

fn details(store: &Store, name: &str, platform: Option<&Platform>) -> Result<ImageDetails> {
    let references = store.references()?;
    let image = resolve::image(store, &references, name, platform)?;
    let (id, config) = (&image.id, image.config.value());
    let (digests, tags): (Vec<_>, Vec<_>) =
        references.of_image(id).iter().partition(|reference| reference.digest().is_some());
    let mut size = 0_u64;
    for chain_id in &image.layers {
        let layer = store.layer(chain_id)?.ok_or_else(|| {
            EngineError::Missing(Missing::LayerOfImage {
                layer: chain_id.clone(),
                image: id.clone(),
            })
        })?;
        size = size.saturating_add(layer.size);
    }
    let last_comment = || config.history.last().and_then(|step| step.comment.clone());
    let comment =
        config.comment.clone().filter(|comment| !comment.is_empty()).or_else(last_comment);
    Ok(ImageDetails {
        repo_tags: tags.iter().map(|reference| reference.familiar()).collect(),
        repo_digests: digests.iter().map(|reference| reference.familiar()).collect(),
        parent: store.parent(id)?,
        comment: comment.unwrap_or_default(),
        created: config.created.clone(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: config.config.clone(),
        platform: config.platform(),
        size,
        graph_driver: match image.layers.last() {
            Some(top) => store.graph_driver(top)?,
            None => GraphDriver { name: store.driver().to_string(), data: BTreeMap::new() },
        },
        layers: config.rootfs.diff_ids.clone(),
        last_tag_time: store.last_updated(id)?.map(|time| time.to_string()),
        manifests: store.manifests_of(id)?,
        id: id.clone(),
    })
}

#[cfg(test)]
mod tests;
