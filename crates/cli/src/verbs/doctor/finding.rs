//! Findings of the checks.

use serde::Serialize;

/// The state of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Well,
    /// It is as it should be, and worth a word.
    Note,
    Bad,
}

/// A finding about one thing.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Finding {
    /// The check that found it.
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) said: String,
    /// A remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}
