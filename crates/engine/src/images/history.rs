//! `history`: how an image came to be.

use std::sync::Arc;

use jiff::Timestamp;
use spec::{ChainId, ImageId, Platform};
use store::{Image, References, Store};

use crate::error::Missing;
use crate::resolve::{self, Meant};
use crate::{Engine, EngineError, Result};

/// One step on the way to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryStep {
    /// The image that was there after this step, if it is known: the image itself, or one that it was built on here.
    pub id: Option<ImageId>,
    /// The time of the step, in seconds since 1970; 0 if it does not say.
    pub created: i64,
    /// The command.
    pub created_by: String,
    /// The tags of the image after this step, familiar, sorted.
    pub tags: Vec<String>,
    /// Bytes that the step added, unpacked.
    pub size: u64,
    /// A note.
    pub comment: String,
}

impl Engine {
    /// Returns the steps that made the image `name`, the last one first; if a platform is given, of what is here for it.
    pub async fn history(
        &self,
        name: &str,
        platform: Option<Platform>,
    ) -> Result<Vec<HistoryStep>> {
        let name = name.to_owned();
        self.on_disk(move |store| {
            let references = store.references()?;
            let meant = resolve::image(store, &references, &name, platform.as_ref())?;
            let mut steps = steps(store, &meant)?;
            name_steps(store, &references, &meant.image, &mut steps)?;
            Ok(steps)
        })
        .await
    }
}

fn steps(store: &Store, meant: &Meant) -> Result<Vec<HistoryStep>> {
    let mut layers = meant.image.layers.iter();
    let mut steps = Vec::new();
    for step in &meant.image.config.value().history {
        let size = if step.empty_layer {
            0
        } else {
            let layer = layers.next().ok_or(EngineError::HistoryMismatch)?;
            match step_size(store, layer) {
                // As in dockerd's containerd store: what is not unpacked takes no room.
                Err(EngineError::Missing(_)) if meant.part.is_some() => 0,
                size => size?,
            }
        };
        let created = step.created.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        steps.push(HistoryStep {
            id: None,
            created: created.map_or(0, Timestamp::as_second),
            created_by: step.created_by.clone().unwrap_or_default(),
            tags: Vec::new(),
            size,
            comment: step.comment.clone().unwrap_or_default(),
        });
    }
    steps.reverse();
    Ok(steps)
}

fn step_size(store: &Store, layer: &ChainId) -> Result<u64> {
    let missing = || EngineError::Missing(Missing::Layer(layer.clone()));
    store.layer_size(layer)?.ok_or_else(missing)
}

/// Gives the last step the image's ID and the steps before it those of the images that it was built on, one each, as
/// dockerd does: every step of its classic builder made an image.
fn name_steps(
    store: &Store,
    references: &References,
    image: &Arc<Image>,
    steps: &mut [HistoryStep],
) -> Result<()> {
    let mut image = Arc::clone(image);
    for step in steps {
        let tags = references.of_image(&image.id).iter().filter(|name| name.digest().is_none());
        step.tags = tags.map(spec::Reference::familiar).collect();
        step.id = Some(image.id.clone());
        let Some(parent) = store.parent(&image.id)? else { break };
        let Some(parent) = store.image(&parent)? else { break };
        image = parent;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
