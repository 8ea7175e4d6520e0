//! The config that dockerd makes of a manifest of schema 1.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use super::error::Schema1Error;
use super::image::{V1Image, checked_time};
use super::manifest::{Schema1, Step};
use crate::json::{RawFields, write_fields};
use crate::{DiffId, ImageConfig, MAX_CONFIG_SIZE, from_go_json, to_go_json};

/// Documents of older dockers than this are written anew, without what that docker would not have written.
const FIRST_KEPT: [i64; 3] = [1, 8, 3];
/// Fields of a layer's document that a config has not got.
const LEFT_OUT: [&str; 6] = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/// A step in the config's history, with the fields in Docker's order.
#[derive(Serialize)]
struct History {
    created: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty_layer: bool,
}

#[derive(Serialize)]
struct Layers<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "<[DiffId]>::is_empty")]
    diff_ids: &'a [DiffId],
}

impl Schema1 {
    /// Makes the image's config, as dockerd 20.10 does. `diff_ids` are those of the layers.
    pub fn config(&self, diff_ids: &[DiffId]) -> Result<String, Schema1Error> {
        #[derive(Deserialize)]
        struct Made {
            docker_version: String,
        }
        let made: Made = from_go_json(self.top.as_bytes()).map_err(Schema1Error::History)?;
        let history = self.steps.iter().map(history).collect::<Result<Vec<_>, _>>()?;
        let json = |fields: Result<RawFields, serde_json::Error>| {
            let mut fields = fields?;
            for name in LEFT_OUT {
                fields.remove(name);
            }
            let rootfs = Layers { kind: "layers", diff_ids };
            fields.insert("rootfs".to_owned(), to_raw_value(&rootfs)?);
            fields.insert("history".to_owned(), to_raw_value(&history)?);
            write_fields(&fields)
        };
        let fields = if is_older(&made.docker_version) {
            let mut image = V1Image::parse(self.top.as_bytes()).map_err(Schema1Error::History)?;
            image.created = Some(checked_time(image.created.as_deref())?);
            to_go_json(&image).and_then(|text| serde_json::from_str(&text))
        } else {
            serde_json::from_str(&self.top)
        };
        let config = json(fields).map_err(Schema1Error::History)?;
        if config.len() as u64 > MAX_CONFIG_SIZE {
            return Err(Schema1Error::LargeConfig(config.len()));
        }
        let read = ImageConfig::parse(config.as_bytes()).map_err(Schema1Error::History)?;
        // Go takes a long s for an s in the name of a field, and of two the last one counts.
        if read.rootfs.diff_ids != diff_ids || read.history.len() != self.steps.len() {
            return Err(Schema1Error::Twofold);
        }
        Ok(config)
    }
}

fn history(step: &Step) -> Result<History, Schema1Error> {
    let image = &step.image;
    let words = image.container_config.cmd.as_ref().map(|words| words.0.join(" "));
    Ok(History {
        created: checked_time(image.created.as_deref())?,
        author: image.author.clone(),
        created_by: words.unwrap_or_default(),
        comment: image.comment.clone(),
        empty_layer: step.is_empty,
    })
}

/// Compares versions as Docker does: number by number, where what is no number is 0.
fn is_older(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| {
        part.parse::<i64>().unwrap_or_else(|error| match error.kind() {
            std::num::IntErrorKind::PosOverflow => i64::MAX,
            std::num::IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        })
    });
    for first_kept in FIRST_KEPT {
        match numbers.next().unwrap_or(0).cmp(&first_kept) {
            Ordering::Equal => {}
            order => return order == Ordering::Less,
        }
    }
    numbers.find(|number| *number != 0).is_some_and(|number| number < 0)
}
