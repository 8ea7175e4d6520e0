//! Documents.

use serde_json::{Map, Value};

use super::{Bindings, Depth, Difference};

/// The comparison of two documents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    /// The expected document has only its first members.
    pub(super) cut: bool,
    pub(super) depth: Depth,
}

impl Comparison {
    pub(super) fn values(
        self,
        path: &str,
        expected: &Value,
        actual: &Value,
        bindings: &mut Bindings,
        differences: &mut Vec<Difference>,
    ) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                self.members(path, expected, actual, bindings, differences);
            }
            (Value::Array(_), Value::Array(_)) if self.depth == Depth::Shape => {}
            (Value::Array(expected), Value::Array(actual)) if is_unordered(path, expected) => {
                self.sets(path, expected, actual, bindings, differences);
            }
            (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
                for (place, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                    let path = format!("{path}[{place}]");
                    self.values(&path, expected, actual, bindings, differences);
                }
            }
            _ if self.depth == Depth::Shape && kind(expected) == kind(actual) => {}
            (Value::String(expected), Value::String(actual))
                if bindings.matches(expected, actual) => {}
            (Value::String(name), Value::Number(_)) if name == "<time>" || name == "<size>" => {}
            (Value::Number(expected), Value::Number(actual))
                if is_recent(expected) && is_recent(actual) => {}
            _ if expected == actual => {}
            _ => differences.push(Difference::new(path, expected, actual)),
        }
    }

    fn members(
        self,
        path: &str,
        expected: &Map<String, Value>,
        actual: &Map<String, Value>,
        bindings: &mut Bindings,
        differences: &mut Vec<Difference>,
    ) {
        for (name, expected) in expected {
            let path = format!("{path}.{name}");
            match actual.get(name) {
                Some(actual) => self.values(&path, expected, actual, bindings, differences),
                None => differences.push(Difference::new(&path, expected, "missing")),
            }
        }
        let is_top = path == "$";
        for (name, value) in actual {
            let is_cut = self.cut && is_top;
            if !is_cut && !expected.contains_key(name) {
                differences.push(Difference::new(&format!("{path}.{name}"), "missing", value));
            }
        }
    }

    /// Pairs what is equal; what is left is compared in order.
    fn sets(
        self,
        path: &str,
        expected: &[Value],
        actual: &[Value],
        bindings: &mut Bindings,
        differences: &mut Vec<Difference>,
    ) {
        if expected.len() != actual.len() {
            let shown = |values: &[Value]| values.iter().map(brief).collect::<Vec<_>>().join(" ");
            differences.push(Difference::new(
                &format!("{path}.length"),
                shown(expected),
                shown(actual),
            ));
        }
        let mut left: Vec<&Value> = actual.iter().collect();
        let mut unpaired = Vec::new();
        for expected in expected {
            let equal = left.iter().position(|actual| {
                let mut tried = bindings.clone();
                let mut found = Vec::new();
                self.values(path, expected, actual, &mut tried, &mut found);
                if found.is_empty() {
                    *bindings = tried;
                }
                found.is_empty()
            });
            match equal {
                Some(place) => drop(left.remove(place)),
                None => unpaired.push(expected),
            }
        }
        for expected in unpaired {
            // The one of the same name, if there is one.
            let same = |actual: &&Value| expected["RepoTags"] == actual["RepoTags"];
            let first = if left.is_empty() { None } else { Some(0) };
            let Some(place) = left.iter().position(same).or(first) else {
                continue;
            };
            let actual = left.remove(place);
            self.values(&format!("{path}[]"), expected, actual, bindings, differences);
        }
        let times: Vec<_> = actual.iter().filter_map(|image| image["Created"].as_i64()).collect();
        if !times.is_sorted_by(|before, after| before >= after) {
            differences.push(Difference::new(path, "newest first", format!("{times:?}")));
        }
    }
}

/// Lists that dockerd makes from maps: images of the same second, and what a prune did.
fn is_unordered(path: &str, items: &[Value]) -> bool {
    path.ends_with(".ImagesDeleted")
        // Sorted by digests, which are others here.
        || path.ends_with(".RepoDigests")
        || !path.ends_with(']')
            && items.iter().any(|item| item.get("RepoTags").is_some())
            && items.iter().all(|item| item.get("Id").is_some())
}

/// Returns true if a number is a time since the recordings, in seconds or nanoseconds: two daemons did the same at two moments.
fn is_recent(number: &serde_json::Number) -> bool {
    number.as_u64().is_some_and(|number| number > 1_750_000_000)
}

fn brief(value: &Value) -> String {
    let tags = &value["RepoTags"];
    if tags.is_null() { value.to_string() } else { tags.to_string() }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(text) if text == "<time>" || text == "<size>" => "text or number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
