//! The order of the scenarios.

/// A line of `plan.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Play this recording.
    Play(&'static str),
    /// A request without a record: method, target and the name of its body.
    Between { method: &'static str, target: &'static str, body: Option<&'static str> },
}

/// All steps.
pub(crate) fn steps() -> Vec<Step> {
    let lines = include_str!("plan.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(step).collect()
}

fn step(line: &'static str) -> Step {
    let Some(request) = line.strip_prefix("= ") else { return Step::Play(line) };
    let (request, body) = match request.split_once(" @") {
        Some((request, body)) => (request, Some(body)),
        None => (request, None),
    };
    let (method, target) = request.split_once(' ').unwrap();
    Step::Between { method, target, body }
}

/// A recording that nobody plays would pass.
#[test]
fn every_recording_is_played_once() {
    let mut played: Vec<&str> = steps()
        .into_iter()
        .filter_map(|step| if let Step::Play(name) = step { Some(name) } else { None })
        .collect();
    played.sort_unstable();
    let mut recorded: Vec<String> = std::fs::read_dir(crate::fixture::folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    recorded.sort();
    assert_eq!(played, recorded);
}
