//! Two answers, and what is different.

mod archive;
mod json;
mod stream;
pub(crate) mod text;

use serde_json::Value;

use crate::fixture::{Answer, Body};
pub(crate) use text::Bindings;

/// A place where an answer is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `status`, `header NAME`, a path such as `$.Images[0].Size`, `stream` or `archive NAME`.
    pub(crate) place: String,
    pub(crate) expected: String,
    pub(crate) actual: String,
}

impl Difference {
    #[expect(clippy::needless_pass_by_value, reason = "texts, numbers and documents alike")]
    fn new(place: &str, expected: impl ToString, actual: impl ToString) -> Self {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        Self { place: place.to_owned(), expected, actual }
    }
}

/// The closeness with which documents are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Values,
    /// Names and types of members only: values are the machine's.
    Shape,
}

/// Compares status, headers and body.
pub(crate) fn answers(
    expected: &Answer,
    actual: &Answer,
    depth: Depth,
    bindings: &mut Bindings,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    if expected.status != actual.status {
        differences.push(Difference::new("status", expected.status, actual.status));
    }
    headers(expected, actual, &mut differences);
    match (&expected.body, &actual.body) {
        (Body::Archive(expected), Body::Archive(actual)) => {
            archive::compare(expected, actual, bindings, &mut differences);
        }
        (Body::Text { lines: expected, cut }, Body::Text { lines: actual, .. }) => {
            bodies(expected, actual, *cut, depth, bindings, &mut differences);
        }
        (expected, actual) => {
            let kind = |body: &Body| match body {
                Body::Archive(_) => "an archive".to_owned(),
                Body::Text { lines, .. } => lines.join("\n"),
            };
            differences.push(Difference::new("body", kind(expected), kind(actual)));
        }
    }
    differences
}

fn headers(expected: &Answer, actual: &Answer, differences: &mut Vec<Difference>) {
    let value = |answer: &Answer, name: &str| {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        answer.headers.iter().find(named).map(|(_, value)| value.clone())
    };
    let both = expected.headers.iter().chain(&actual.headers);
    let mut names: Vec<String> = both.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (expected, actual) = (value(expected, &name), value(actual, &name));
        if expected != actual {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
            differences.push(Difference::new(
                &format!("header {name}"),
                shown(expected),
                shown(actual),
            ));
        }
    }
}

fn bodies(
    expected: &[String],
    actual: &[String],
    cut: bool,
    depth: Depth,
    bindings: &mut Bindings,
    differences: &mut Vec<Difference>,
) {
    let documents = |lines: &[String]| -> Option<Vec<Value>> {
        lines.iter().map(|line| serde_json::from_str(line).ok()).collect()
    };
    match (documents(expected), documents(actual)) {
        (Some(expected), Some(actual))
            if stream::is_stream(&expected) && stream::is_stream(&actual) =>
        {
            stream::compare(&expected, &actual, bindings, differences);
        }
        (Some(expected), Some(actual)) if expected.len() == 1 && actual.len() == 1 => {
            json::Comparison { cut, depth }.values(
                "$",
                &expected[0],
                &actual[0],
                bindings,
                differences,
            );
        }
        _ => {
            let (expected, actual) = (expected.join("\n"), actual.join("\n"));
            if !bindings.matches(&expected, &actual) {
                differences.push(Difference::new("body", expected, actual));
            }
        }
    }
}
