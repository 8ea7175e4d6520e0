//! The lines of a progress stream: what a pull, a push, a load or an import answers while it runs.

use serde::{Deserialize, Serialize};
use spec::Descriptor;

/// One JSON message of a progress stream.
///
/// A line has a status, or an error, or out-of-band data; `id` names the layer that the line is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// Output to print as it is (build, load).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// State of the work, as words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Progress in numbers. Present and empty on lines about a layer that has nothing to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// The same as a bar in text. dockerd before 29 sent it; it is read and never written.
    #[serde(skip_serializing)]
    pub progress: Option<String>,
    /// The layer, by the first twelve digits of its digest, or the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Error that ended the operation; the last line of a stream. The same text is in `error_detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Error that ended the operation; the last line of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// Note for a user beside the progress, in whole sentences. Longshore's own; docker shows `status` where it
    /// has a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Data that is not meant for a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<Aux>,
}

/// Progress of a layer in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    /// Bytes done.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// Bytes in all; 0 where that is unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// Unit that is counted, if not bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<Units>,
}

/// Unit that is counted in place of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// Time.
    Seconds,
    /// Anything else.
    #[serde(other)]
    Other,
}

impl ProgressDetail {
    /// Counts bytes.
    pub fn bytes(current: u64, total: u64) -> Self {
        Self { current, total, units: None }
    }

    /// Counts seconds.
    pub fn seconds(current: u64, total: u64) -> Self {
        Self { current, total, units: Some(Units::Seconds) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Error of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    /// A status that older daemons give, 401 for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// In words for a user.
    pub message: String,
}

/// Data of a line beside its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Aux {
    /// Result of a push of one tag.
    Push(PushResult),
    /// Longshore's own, for who asks by [`FACTS_HEADER`]: docker shows nothing of a line with an `aux`.
    Layer {
        /// Facts of a layer beside its state.
        #[serde(rename = "longshore")]
        facts: LayerFacts,
    },
    /// A note that one image was pushed for several.
    WithoutIndex(Box<ManifestPushedInsteadOfIndex>),
    /// Longshore's own: layers of an image were compressed anew, and so its manifest is another one.
    LayersRemade {
        /// The tag that was pushed.
        #[serde(rename = "LayersRemade")]
        tag: String,
        /// The manifest that the image came with.
        #[serde(rename = "CameWith")]
        came_with: String,
    },
    /// Anything else, of a build for instance.
    Other(serde_json::Value),
}

/// The header by which a client asks for [`LayerFacts`] in a progress stream.
pub const FACTS_HEADER: &str = "longshore-facts";

/// Facts of a layer beside its state. What a line leaves out is as an earlier one said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerFacts {
    /// The layer, as lines about it name it in `id`.
    pub layer: String,
    /// Bytes of its blob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Those of them that need not be moved: they were there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<u64>,
    /// The host that it comes from or goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The `aux` of the last line of a push of one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PushResult {
    /// The tag that was pushed.
    pub tag: String,
    /// The manifest's digest in the registry.
    pub digest: String,
    /// The manifest's bytes.
    pub size: u64,
}

/// The `aux` of a push that sent one image although its name means an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestPushedInsteadOfIndex {
    /// Always true: by its name the note is known.
    #[serde(rename = "manifestPushedInsteadOfIndex")]
    is_said: bool,
    /// The index.
    pub original_index: Descriptor,
    /// The manifest that was pushed, with its platform.
    pub selected_manifest: Descriptor,
}

impl ManifestPushedInsteadOfIndex {
    /// Says that `manifest` was pushed in the place of `index`.
    pub fn new(index: Descriptor, manifest: Descriptor) -> Self {
        Self { is_said: true, original_index: index, selected_manifest: manifest }
    }
}

impl Message {
    /// A line about the whole operation.
    pub fn status(status: impl Into<String>) -> Self {
        Self { status: Some(status.into()), ..Self::default() }
    }

    /// A line about one layer.
    pub fn layer(id: impl Into<String>, status: impl Into<String>, detail: ProgressDetail) -> Self {
        Self {
            status: Some(status.into()),
            progress_detail: Some(detail),
            id: Some(id.into()),
            ..Self::default()
        }
    }

    /// The last line of an operation that failed.
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error: Some(message.clone()),
            error_detail: Some(ErrorDetail { code: None, message }),
            ..Self::default()
        }
    }

    /// The line that ends the push of one tag, for programs.
    pub fn push_result(result: PushResult) -> Self {
        Self {
            progress_detail: Some(ProgressDetail::default()),
            aux: Some(Aux::Push(result)),
            ..Self::default()
        }
    }

    /// A line of facts about a layer, for programs.
    pub fn facts(facts: LayerFacts) -> Self {
        Self { aux: Some(Aux::Layer { facts }), ..Self::default() }
    }

    /// The line of a push that sent one image although its name means an index.
    pub fn pushed_without_index(note: ManifestPushedInsteadOfIndex) -> Self {
        Self {
            progress_detail: Some(ProgressDetail::default()),
            aux: Some(Aux::WithoutIndex(Box::new(note))),
            ..Self::default()
        }
    }

    /// The line as it travels: JSON and CRLF, as dockerd ends it.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and JSON values always serialise.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.extend_from_slice(b"\r\n");
        line
    }

    /// Returns the error that the line tells, if it does.
    pub fn failure(&self) -> Option<&str> {
        let detail = self.error_detail.as_ref().map(|detail| detail.message.as_str());
        // An error without words is one.
        detail.filter(|message| !message.is_empty()).or(self.error.as_deref()).or(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of recorded pulls and pushes of dockerd 29.7, with what makes them here.
    #[test]
    fn lines_are_dockerds_byte_for_byte() {
        let counted = ProgressDetail::bytes(16_384, 303_282);
        let pushed = PushResult { tag: "1".into(), digest: "sha256:9b0f".into(), size: 527 };
        let table = [
            (
                Message {
                    id: Some("latest".into()),
                    ..Message::status("Pulling from library/nginx")
                },
                r#"{"status":"Pulling from library/nginx","id":"latest"}"#,
            ),
            (
                Message::layer("4ee7da9e7e7d", "Pulling fs layer", ProgressDetail::default()),
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"4ee7da9e7e7d"}"#,
            ),
            (
                Message::layer("4ee7da9e7e7d", "Downloading", counted),
                r#"{"status":"Downloading","progressDetail":{"current":16384,"total":303282},"id":"4ee7da9e7e7d"}"#,
            ),
            (Message::status("Digest: sha256:b77d"), r#"{"status":"Digest: sha256:b77d"}"#),
            (
                Message::push_result(pushed),
                r#"{"progressDetail":{},"aux":{"Tag":"1","Digest":"sha256:9b0f","Size":527}}"#,
            ),
            (
                Message::facts(LayerFacts {
                    layer: "4ee7".into(),
                    size: Some(7),
                    ..LayerFacts::default()
                }),
                r#"{"aux":{"longshore":{"layer":"4ee7","size":7}}}"#,
            ),
            (
                Message::error("unexpected EOF"),
                r#"{"error":"unexpected EOF","errorDetail":{"message":"unexpected EOF"}}"#,
            ),
        ];
        for (message, expected) in table {
            assert_eq!(String::from_utf8(message.encode()).unwrap(), format!("{expected}\r\n"));
            assert_eq!(serde_json::from_str::<Message>(expected).unwrap(), message);
        }
    }

    #[test]
    fn old_and_odd_lines_are_read() {
        let old = r#"{"status":"Downloading","progress":"[=> ] 1B/2B","progressDetail":{"current":1,"start":3},"x":1}"#;
        let old: Message = serde_json::from_str(old).unwrap();
        assert_eq!(old.progress.as_deref(), Some("[=> ] 1B/2B"));
        let only_error: Message = serde_json::from_str(r#"{"error":"no"}"#).unwrap();
        assert_eq!(only_error.failure(), Some("no"));
        let both: Message = serde_json::from_str(
            r#"{"error":"short","errorDetail":{"code":401,"message":"long"}}"#,
        )
        .unwrap();
        assert_eq!(both.failure(), Some("long"));
        assert_eq!(Message::status("fine").failure(), None);
        let built: Message = serde_json::from_str(r#"{"aux":{"ID":"sha256:1"}}"#).unwrap();
        assert!(matches!(built.aux, Some(Aux::Other(_))));
    }
}
