//! Progress for programs: one JSON object a line (`--progress json`), as `docs/progress.md` describes it.

use api::message::Message;
use serde::Serialize;

use super::phase::Phase;
use super::tally::{Bytes, Sums, Tally, about_layer};

/// The version of the lines. A field that is added does not raise it; one that changes or goes does.
const VERSION: u32 = 1;

/// A JSON object that is one line of the output.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    event: Event<'a>,
}

/// The outcome of an image of several that are copied.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ImageOutcome<'a> {
    /// The image, where it goes to.
    pub(crate) image: &'a str,
    /// Its digest there, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<&'a str>,
    /// `copied`, `present`, `planned` in a dry run, or `failed`.
    pub(crate) outcome: &'a str,
    /// The same in words.
    pub(crate) text: &'a str,
}

/// Content of a line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event<'a> {
    /// Something happened to a layer.
    Layer {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        state: Phase,
        #[serde(flatten)]
        counts: Bytes,
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<&'a str>,
        text: &'a str,
        all: Bytes,
    },
    /// Anything else, in words.
    Status {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        text: &'a str,
    },
    /// An image was copied, or need not be, or failed.
    Image(&'a ImageOutcome<'a>),
    /// The last word of the command, as it prints it without `--progress json`.
    Result { text: &'a str },
    /// Sums of what was moved, at the end.
    Summary {
        #[serde(flatten)]
        sums: Sums,
        seconds: f64,
    },
    /// The failure of the operation, in words.
    Error { text: &'a str },
}

impl Event<'_> {
    fn encode(self) -> String {
        // Texts and numbers always serialise.
        let line = Line { version: VERSION, event: self };
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

/// Returns the line for a message, which the tally has taken in; nothing for one without words.
pub(super) fn message(message: &Message, tally: &Tally) -> String {
    if message.aux.is_some() && message.note.is_none() {
        return String::new();
    }
    let status = message.status.as_deref().unwrap_or_default();
    let id = message.id.as_deref().filter(|id| !id.is_empty());
    if let Some((layer, phase)) = about_layer(message)
        && let Some(layer) = tally.layer(layer)
    {
        let counts = layer.counts(phase, message.progress_detail);
        let (host, all) = (layer.host(), tally.bytes());
        return Event::Layer { id, state: phase, counts, host, text: status, all }.encode();
    }
    let stream = message.stream.as_deref().map(str::trim_end);
    let text = message.note.as_deref().or(stream).unwrap_or(status);
    if text.is_empty() { String::new() } else { Event::Status { id, text }.encode() }
}

/// Returns the line for an image.
pub(super) fn image(image: &ImageOutcome<'_>) -> String {
    Event::Image(image).encode()
}

/// Returns the line for the command's last word.
pub(super) fn result(text: &str) -> String {
    Event::Result { text }.encode()
}

/// Returns the line that ends what failed.
pub(super) fn error(text: &str) -> String {
    Event::Error { text }.encode()
}

/// Returns the line that ends an operation.
pub(super) fn summary(sums: Sums, seconds: f64) -> String {
    // Milliseconds are enough.
    Event::Summary { sums, seconds: (seconds * 1000.0).round() / 1000.0 }.encode()
}
