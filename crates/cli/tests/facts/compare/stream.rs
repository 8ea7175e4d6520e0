//! Streams of progress.

use serde_json::Value;

use super::json::Comparison;
use super::{Bindings, Depth, Difference};

/// Returns true if documents are the lines of a progress or events stream.
pub(super) fn is_stream(documents: &[Value]) -> bool {
    let marks = ["status", "stream", "error", "errorDetail", "Action", "aux"];
    !documents.is_empty()
        && documents.iter().all(|line| marks.iter().any(|mark| line.get(mark).is_some()))
}

/// Compares the lines that do not depend on how fast a disk or a network is.
pub(super) fn compare(
    expected: &[Value],
    actual: &[Value],
    bindings: &mut Bindings,
    differences: &mut Vec<Difference>,
) {
    // A place of its own, so that the lines beside it are compared all the same.
    let is_note = |line: &&Value| line["aux"]["manifestPushedInsteadOfIndex"] == true;
    let (notes, actual): (Vec<_>, Vec<_>) = steady(actual).into_iter().partition(is_note);
    let expected = steady(expected);
    differences
        .extend(notes.into_iter().map(|note| Difference::new("stream.note", "nothing", note)));
    let words = |lines: &[&Value]| {
        let word = |line: &&Value| match (&line["id"], &line["status"]) {
            (Value::String(_), Value::String(status)) => status.clone(),
            _ => line.to_string(),
        };
        lines.iter().map(word).collect::<Vec<_>>()
    };
    if expected.len() != actual.len() {
        let (expected, actual) = (words(&expected).join(" | "), words(&actual).join(" | "));
        differences.push(Difference::new("stream", expected, actual));
        return;
    }
    for (place, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        let comparison = Comparison { cut: false, depth: Depth::Values };
        comparison.values(&format!("stream[{place}]"), expected, actual, bindings, differences);
    }
}

/// Everything but counters and the states that a small layer may skip: dockerd tells the last one only, if several came at once.
fn steady(lines: &[Value]) -> Vec<&Value> {
    const FLEETING: [&str; 6] = [
        "Downloading",
        "Download complete",
        "Extracting",
        "Verifying Checksum",
        "Waiting",
        "Pushing",
    ];
    let fleeting =
        |line: &&Value| line["status"].as_str().is_some_and(|status| FLEETING.contains(&status));
    lines.iter().filter(|line| !fleeting(line)).collect()
}
