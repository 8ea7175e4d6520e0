//! The forms of signatures.

use serde::{Deserialize, Serialize};

/// The forms in which something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// cosign's classic one: the payload is what is signed.
    Simple,
    /// The one of bundles: an in-toto statement in an envelope (DSSE).
    Envelope,
}

impl Form {
    /// Signatures of this form, in words.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Simple => "signatures",
            Self::Envelope => "bundles",
        }
    }
}
