//! All that may differ between the outputs of `docker` and `longshore`.

use super::case::{Case, Rule};
use super::stage::Program;

/// Steps that a layer may be in for too short a time to be told.
const PASSING: [&str; 4] =
    [": Waiting\n", ": Verifying Checksum\n", ": Download complete\n", ": Pulling fs layer\n"];

/// Returns an output as it is compared.
pub(super) fn text(program: Program, case: &Case, output: &str) -> String {
    // The program's name, where it tells how it is called.
    let output = output.replace("longshore", "docker").replace("Longshore", "Docker");
    // A slip of docker 28.2: "SRun 'docker images --help'".
    let output = output.replace("\nSRun '", "\nRun '");
    // The words of the parser of JSON, of which each language has its own.
    let output = without_parser_words(&output);
    // Names that dockerd makes up, and what it lists in the order of a Go map.
    let output = without_chance(&output);
    let output = if case.has(Rule::Fresh) { without_sources(&output) } else { output };
    let output = if case.has(Rule::Made) { without_ids(&output) } else { output };
    // What only Longshore keeps.
    let output = output.split("\nSTORE ").next().unwrap_or_default();
    let mut lines: Vec<&str> = output
        .split_inclusive('\n')
        // Advice below an error, which docker has not.
        .filter(|line| program == Program::Docker || !line.starts_with("hint: "))
        // dockerd leaves out steps of a progress that follow each other too soon.
        .filter(|line| !PASSING.iter().any(|step| line.ends_with(step)))
        .collect();
    if case.has(Rule::Server) {
        // Name, version, plugins and context of the client are about the client.
        let server = lines.iter().position(|line| line.starts_with("Server"));
        lines.drain(..server.unwrap_or(lines.len()));
        // docker prints labels also where there is nothing to say, and longshore does not.
        lines.retain(|line| !(line.ends_with(" \n") && line.trim_end().ends_with(':')));
        let is_bare = |pair: &[&str]| pair[0] == " Plugins:\n" && !pair[1].starts_with("  ");
        if let Some(head) = lines.windows(2).position(is_bare) {
            lines.remove(head);
        }
    }
    sorted(case, &lines.concat())
}

/// Returns the lines in an order that is the same at each run.
pub(super) fn sorted(case: &Case, output: &str) -> String {
    let mut lines: Vec<&str> = output.split_inclusive('\n').collect();
    // docker goes through the repositories of an image in the order of a Go map, which is chance.
    if case.has(Rule::Sorted) || case.has(Rule::Fresh) || case.lists_images() {
        lines.sort_unstable();
    }
    lines.concat()
}

fn without_chance(output: &str) -> String {
    let lines = output.split_inclusive('\n').map(|line| {
        if let Some(names) = line.strip_prefix(" Runtimes: ") {
            let mut names: Vec<&str> = names.split_whitespace().collect();
            names.sort_unstable();
            return format!(" Runtimes: {}\n", names.join(" "));
        }
        match line.split_once("/docker-import-") {
            Some((start, end)) => {
                format!(
                    "{start}/docker-import-{}",
                    end.trim_start_matches(|c: char| c.is_ascii_digit())
                )
            }
            None => line.to_owned(),
        }
    });
    lines.collect()
}

fn without_ids(output: &str) -> String {
    let lines = output.split_inclusive('\n').map(|line| match line.strip_prefix("sha256:") {
        Some(id) => format!("an ID of {} digits\n", id.trim_end().len()),
        None => line.to_owned(),
    });
    lines.collect()
}

fn without_sources(output: &str) -> String {
    let came = |line: &str| line.contains(": Pushed") || line.contains(": Mounted from ");
    let lines = output.split_inclusive('\n').map(|line| match line.split_once(": ") {
        Some((layer, _)) if came(line) => format!("{layer}: came\n"),
        _ => line.to_owned(),
    });
    lines.collect()
}

fn without_parser_words(output: &str) -> String {
    let lines = output.split_inclusive('\n').map(|line| match line.split_once("config.json): ") {
        Some((start, _)) if line.contains("parsing config file (") => {
            format!("{start}config.json)\n")
        }
        _ => line.to_owned(),
    });
    lines.collect()
}
