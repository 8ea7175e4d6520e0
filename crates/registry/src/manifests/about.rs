//! Statements of a manifest about itself: its type, and which other one it refers to.

use std::collections::BTreeMap;

use serde::Deserialize;
use spec::Digest;

/// The part of a manifest that says what it is about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct About {
    pub(super) subject: Option<Named>,
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<Typed>,
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Typed {
    pub(super) media_type: String,
}

/// Returns the manifest that another one refers to.
pub fn subject(bytes: &[u8]) -> Option<Digest> {
    let about: About = spec::from_go_json(bytes).ok()?;
    about.subject.map(|subject| subject.digest)
}
