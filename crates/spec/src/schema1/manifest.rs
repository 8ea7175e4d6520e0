//! A manifest of schema 1 as it is read.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::{MAX_STEPS, Schema1Error};
use super::image::V1Image;
use crate::json::from_agreed_go_json;
use crate::{Digest, MAX_MANIFEST_SIZE, from_go_json};

/// A manifest of schema 1 whose layers stand on each other as they should.
#[derive(Clone, Debug)]
pub struct Schema1 {
    /// The steps, the first one first.
    pub(super) steps: Vec<Step>,
    /// The document of the topmost layer.
    pub(super) top: String,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    blob: Digest,
    pub(super) image: V1Image,
    /// Set if it changed no file: its blob holds nothing, and is not used.
    pub(super) is_empty: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    fs_layers: Vec<Layer>,
    history: Vec<Entry>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    blob_sum: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    v1_compatibility: String,
}

#[derive(Deserialize)]
struct Emptiness {
    throwaway: bool,
}

impl Schema1 {
    /// Says whether a document is a manifest of schema 1 by what it says of itself.
    pub fn is(bytes: &[u8]) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            schema_version: u64,
            fs_layers: Option<IgnoredAny>,
        }
        from_go_json::<Kind>(bytes)
            .is_ok_and(|kind| kind.schema_version == 1 && kind.fs_layers.is_some())
    }

    /// Parses the signed part of the manifest of `name`, and checks that each layer stands on the next.
    pub fn parse(signed: &[u8], name: &str) -> Result<Self, Schema1Error> {
        if signed.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(Schema1Error::TooLarge(signed.len() as u64));
        }
        let document: Document = from_agreed_go_json(signed).map_err(Schema1Error::Json)?;
        let (layers, history) = (document.fs_layers, document.history);
        if document.schema_version != 1 {
            let (version, name) = (document.schema_version, name.to_owned());
            return Err(Schema1Error::SchemaVersion { version, name });
        }
        for (field, is_there) in [
            ("config", document.config.is_some()),
            ("layers", document.layers.is_some()),
            ("manifests", document.manifests.is_some()),
        ] {
            if is_there {
                return Err(Schema1Error::Ambiguous(field));
            }
        }
        if layers.len() != history.len() {
            return Err(Schema1Error::Lengths(name.to_owned()));
        }
        if layers.len() > MAX_STEPS {
            return Err(Schema1Error::TooMany(layers.len()));
        }
        let mut newest_first = Vec::with_capacity(layers.len());
        for (layer, entry) in layers.into_iter().zip(history) {
            let document = entry.v1_compatibility.as_bytes();
            let image = V1Image::parse(document).map_err(Schema1Error::History)?;
            let Emptiness { throwaway } = from_go_json(document).map_err(Schema1Error::History)?;
            let is_hex = |id: &str| id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if image.id.len() != 64 || !is_hex(&image.id) {
                return Err(Schema1Error::Id(image.id));
            }
            let step = Step { blob: layer.blob_sum, image, is_empty: throwaway };
            newest_first.push((step, entry.v1_compatibility));
        }
        let steps = once_each(newest_first)?;
        let Some((_, top)) = steps.last() else {
            return Err(Schema1Error::NoLayers(name.to_owned()));
        };
        let top = top.clone();
        Ok(Self { steps: steps.into_iter().map(|(step, _)| step).collect(), top })
    }

    /// Lists the blobs of the layers, the bottom one first. A blob may be there several times.
    pub fn layers(&self) -> impl Iterator<Item = &Digest> {
        self.steps.iter().filter(|step| !step.is_empty).map(|step| &step.blob)
    }
}

/// Leaves out layers that are repeated next to each other, and checks that each stands on the next. Returns them the first one first.
fn once_each(newest_first: Vec<(Step, String)>) -> Result<Vec<(Step, String)>, Schema1Error> {
    if newest_first.last().is_some_and(|(base, _)| !base.image.parent.is_empty()) {
        return Err(Schema1Error::BaseParent);
    }
    let mut seen = HashSet::new();
    let mut last = "";
    for (step, _) in &newest_first {
        let id = step.image.id.as_str();
        if id != last && !seen.insert(id) {
            return Err(Schema1Error::Repeated(id.to_owned()));
        }
        last = id;
    }
    let mut kept: Vec<(Step, String)> = Vec::with_capacity(newest_first.len());
    for (step, text) in newest_first.into_iter().rev() {
        // As in dockerd, of several the lowest one counts.
        if let Some((below, _)) = kept.last() {
            if below.image.id == step.image.id {
                continue;
            }
            if below.image.id != step.image.parent {
                let (expected, actual) = (below.image.id.clone(), step.image.parent);
                return Err(Schema1Error::Parent { expected, actual });
            }
        }
        kept.push((step, text));
    }
    Ok(kept)
}
