//! Progress in a pipe: Docker's lines, without counts.

use api::message::Message;

use super::line;

/// Returns what to write for a message.
pub(super) fn message(message: &Message) -> String {
    if message.aux.is_some() {
        return String::new();
    }
    let counts = message.progress_detail.map(|detail| line::bar(detail, 0));
    if counts.as_deref().is_some_and(|counts| !counts.is_empty()) {
        return String::new();
    }
    let id = message.id.as_deref().filter(|id| !id.is_empty());
    let name = id.map(|id| format!("{id}: ")).unwrap_or_default();
    let status = message.status.as_deref().unwrap_or_default();
    let stream = message.stream.as_deref().filter(|stream| !stream.is_empty());
    // A bar in text is that of a daemon of old, which docker writes as it is.
    match (message.progress.as_deref().filter(|bar| !bar.is_empty()), stream) {
        (Some(bar), _) => format!("{name}{status} {bar}"),
        (_, Some(stream)) => format!("{name}{stream}"),
        _ => format!("{name}{status}\n"),
    }
}
