//! The list of manifests: `index.json` of the layout.

use serde::{Deserialize, Serialize};
use spec::Descriptor;

/// The annotation with the image that a manifest is of. One manifest of several (an index) is listed once for each.
pub(super) const IMAGE_ANNOTATION: &str = "dev.longshore.image.id";
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// `index.json` of the layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContentIndex {
    schema_version: u32,
    media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

impl ContentIndex {
    pub(super) fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: INDEX_MEDIA_TYPE.to_owned(), manifests }
    }

    pub(crate) fn manifests(&self) -> &[Descriptor] {
        &self.manifests
    }
}

impl Default for ContentIndex {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

pub(crate) fn image_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(IMAGE_ANNOTATION).map(String::as_str)
}
