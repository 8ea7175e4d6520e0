//! Bad parameters, wrong methods, odd versions: what is said of them.

use std::fmt::Write as _;

use crate::known::Reference;
use crate::wire;
use crate::world::House;

/// A request and what each daemon answers.
#[derive(Debug)]
struct Case {
    request: String,
    newest: String,
    installed: String,
}

/// Sends every request of `parameters.txt` and insists on the answers of a column.
pub(crate) fn check(house: &House, column: Reference) -> String {
    let mut report = String::new();
    for case in cases() {
        let expected = match column {
            Reference::Recorded => &case.newest,
            Reference::Installed => &case.installed,
        };
        let said = ask(house, &case.request, expected.ends_with(" -"));
        if said != *expected {
            // Writing to a string does not fail.
            let _ = writeln!(
                report,
                "{}\n    expected: {expected}\n    said:     {said}",
                case.request
            );
        }
    }
    report
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let lines = include_str!("parameters.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(answer) = line.strip_prefix("    ") else {
            let empty = String::new;
            cases.push(Case { request: line.to_owned(), newest: empty(), installed: empty() });
            continue;
        };
        let case = cases.last_mut().unwrap();
        if let Some(answer) = answer.strip_prefix("20.10: ") {
            answer.clone_into(&mut case.installed);
        } else {
            answer.clone_into(&mut case.newest);
            answer.clone_into(&mut case.installed);
        }
    }
    cases
}

/// Sends a request and returns status and message, and the body where it is not an error's.
fn ask(house: &House, request: &str, status_only: bool) -> String {
    let (method, rest) = request.split_once(' ').unwrap();
    let (target, body) = rest
        .split_once(" {")
        .map_or((rest, String::new()), |(target, body)| (target, format!("{{{body}")));
    let target = target.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let json = ("Content-Type".to_owned(), "application/json".to_owned());
    let headers = if body.is_empty() { Vec::new() } else { vec![json] };
    let response = wire::send(&house.socket, method, &target, &headers, body.as_bytes()).unwrap();
    if status_only {
        return format!("{} -", response.status);
    }
    let text = match response.json() {
        serde_json::Value::Object(error) if error.len() == 1 && error.contains_key("message") => {
            error["message"].as_str().unwrap_or_default().to_owned()
        }
        _ => response.text().lines().collect::<Vec<_>>().join(" "),
    };
    format!("{} {}", response.status, text.trim_end())
}
