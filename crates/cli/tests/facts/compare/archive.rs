//! Archives: names, kinds, modes and times of their members, and the documents among them.

use serde_json::Value;

use super::json::Comparison;
use super::{Bindings, Depth, Difference};
use crate::fixture::Member;

/// The documents that name the others.
const FIRST: [&str; 2] = ["manifest.json", "index.json"];

/// Compares two archives. What their names stand for is learnt only where they are equal: blobs of other forms would
/// otherwise pass for each other for good.
pub(super) fn compare(
    expected: &[Member],
    actual: &[Member],
    bindings: &mut Bindings,
    differences: &mut Vec<Difference>,
) {
    let mut learnt = bindings.clone();
    let before = differences.len();
    members(expected, actual, &mut learnt, differences);
    if differences.len() == before {
        *bindings = learnt;
    }
}

fn members(
    expected: &[Member],
    actual: &[Member],
    bindings: &mut Bindings,
    differences: &mut Vec<Difference>,
) {
    for name in FIRST {
        let named = |members: &[Member]| members.iter().find(|member| member.name == name).cloned();
        if let (Some(expected), Some(actual)) = (named(expected), named(actual)) {
            contents(&expected, &actual, bindings, differences);
        }
    }
    let mut left: Vec<&Member> = actual.iter().collect();
    let mut unnamed = Vec::new();
    for expected in expected {
        // Only names that are known: a blob that no document names is looked for by its content.
        let mut tried = bindings.clone();
        let known = tried.len();
        let place = left
            .iter()
            .position(|actual| tried.matches(&expected.name, &actual.name) && tried.len() == known);
        match place {
            Some(place) => member(expected, left.remove(place), bindings, differences),
            None if expected.name.contains('<') => unnamed.push(expected),
            None => differences.push(missing(expected)),
        }
    }
    for expected in unnamed {
        let place = left.iter().position(|actual| {
            let mut tried = bindings.clone();
            let mut found = Vec::new();
            member(expected, actual, &mut tried, &mut found);
            let matches = found.is_empty() && tried.matches(&expected.name, &actual.name);
            if matches {
                *bindings = tried;
            }
            matches
        });
        match place {
            Some(place) => drop(left.remove(place)),
            None => differences.push(missing(expected)),
        }
    }
    for member in left {
        let place = format!("archive {}", member.name);
        differences.push(Difference::new(&place, "missing", &member.head));
    }
}

fn missing(member: &Member) -> Difference {
    let said = format!("{} {}", member.head, member.content);
    Difference::new(&format!("archive {}", member.name), said, "missing")
}

fn member(
    expected: &Member,
    actual: &Member,
    bindings: &mut Bindings,
    differences: &mut Vec<Difference>,
) {
    if !bindings.matches(&expected.head, &actual.head) {
        let place = format!("archive {}", expected.name);
        differences.push(Difference::new(&place, &expected.head, &actual.head));
    }
    contents(expected, actual, bindings, differences);
}

fn contents(
    expected: &Member,
    actual: &Member,
    bindings: &mut Bindings,
    differences: &mut Vec<Difference>,
) {
    let path = format!("archive {}", expected.name);
    let parse = |content: &str| serde_json::from_str::<Value>(content).ok();
    match (parse(&expected.content), parse(&actual.content)) {
        (Some(expected), Some(actual)) => {
            let comparison = Comparison { cut: false, depth: Depth::Values };
            comparison.values(&path, &expected, &actual, bindings, differences);
        }
        (None, None) => {}
        _ => differences.push(Difference::new(&path, &expected.content, &actual.content)),
    }
}
