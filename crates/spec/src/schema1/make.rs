//! The manifest of schema 1 that dockerd makes of an image's config, for registries that know no other.

use serde::Serialize;
use serde_json::value::to_raw_value;

use super::error::Schema1Error;
use super::image::checked_time;
use crate::json::{RawFields, to_pretty_go_json, write_fields};
use crate::{Digest, ImageConfig, to_go_json};

/// An empty tar, compressed by gzip as Docker's own: the layer of steps that changed no file.
pub const EMPTY_LAYER: [u8; 32] = [
    31, 139, 8, 0, 0, 9, 110, 136, 0, 255, 98, 24, 5, 163, 96, 20, 140, 88, 0, 8, 0, 0, 255, 255,
    46, 175, 181, 239, 0, 4, 0, 0,
];

/// The parts of a manifest of schema 1 that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewSchema1<'a> {
    /// The repository's path at its registry.
    pub name: &'a str,
    /// The tag that it is for.
    pub tag: &'a str,
    /// The bytes of the image's config.
    pub config: &'a [u8],
    /// The blobs of the layers, the bottom one first.
    pub layers: &'a [Digest],
}

/// The manifest, with the fields in Docker's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u32,
    name: &'a str,
    tag: &'a str,
    architecture: &'a str,
    fs_layers: Vec<Layer>,
    history: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    blob_sum: Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    v1_compatibility: String,
}

/// The document of a layer that is not the topmost.
#[derive(Serialize)]
struct Lower<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    parent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: &'a str,
    created: String,
    container_config: Command<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    throwaway: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Command<'a> {
    cmd: [&'a str; 1],
}

/// Makes the manifest, unsigned. Says whether it names [`EMPTY_LAYER`].
pub fn make_schema1(new: &NewSchema1<'_>) -> Result<(String, bool), Schema1Error> {
    let config = ImageConfig::parse(new.config).map_err(Schema1Error::Json)?;
    let Some(last) = config.history.len().checked_sub(1) else {
        return Err(Schema1Error::EmptyHistory);
    };
    let own = config.history.iter().filter(|step| !step.empty_layer).count();
    if own < new.layers.len() {
        return Err(Schema1Error::LayersWithoutHistory { own, layers: new.layers.len() });
    }
    let mut blobs = new.layers.iter();
    let mut steps = Vec::with_capacity(config.history.len());
    let mut parent = String::new();
    for (number, step) in config.history.iter().enumerate() {
        let blob = if step.empty_layer {
            Digest::sha256(&EMPTY_LAYER)
        } else {
            blobs.next().ok_or(Schema1Error::HistoryMismatch)?.clone()
        };
        let named = format!("{} {parent}", blob.hex());
        let (id, text) = if number == last {
            let named = [named.as_bytes(), b" ", new.config].concat();
            let id = Digest::sha256(&named).hex();
            let text = topmost(new.config, &id, &parent, step.empty_layer)?;
            (id, text)
        } else {
            let id = Digest::sha256(named.as_bytes()).hex();
            let lower = Lower {
                id: &id,
                parent: &parent,
                comment: step.comment.as_deref().unwrap_or_default(),
                created: checked_time(step.created.as_deref())?,
                container_config: Command { cmd: [step.created_by.as_deref().unwrap_or_default()] },
                author: step.author.as_deref().unwrap_or_default(),
                throwaway: step.empty_layer,
            };
            let text = to_go_json(&lower).map_err(Schema1Error::Json)?;
            (id, text)
        };
        steps.push((Layer { blob_sum: blob }, Entry { v1_compatibility: text }));
        parent = id;
    }
    let (fs_layers, history) = steps.into_iter().rev().unzip();
    let document = Document {
        schema_version: 1,
        name: new.name,
        tag: new.tag,
        architecture: &config.architecture,
        fs_layers,
        history,
    };
    let names_empty = config.history.iter().any(|step| step.empty_layer);
    Ok((to_pretty_go_json(&document).map_err(Schema1Error::Json)?, names_empty))
}

/// Makes the document of the topmost layer: the config, without what documents have not got.
fn topmost(config: &[u8], id: &str, parent: &str, is_empty: bool) -> Result<String, Schema1Error> {
    let make = || {
        let mut fields: RawFields = serde_json::from_slice(config)?;
        fields.remove("rootfs");
        fields.remove("history");
        fields.insert("id".to_owned(), to_raw_value(id)?);
        if !parent.is_empty() {
            fields.insert("parent".to_owned(), to_raw_value(parent)?);
        }
        if is_empty {
            fields.insert("throwaway".to_owned(), to_raw_value(&true)?);
        }
        write_fields(&fields)
    };
    make().map_err(Schema1Error::Json)
}
