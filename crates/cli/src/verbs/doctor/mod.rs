//! `longshore doctor`: what is well, what is not, and what to do.

mod certificates;
mod checks;
mod finding;
mod network;
mod proxies;
mod sockets;

use std::fmt::Write as _;

use finding::{Finding, State};
use serde::Serialize;

use crate::environment::Environment;
use crate::error::CliError;
use crate::globals::Globals;
use crate::output;

/// Look over what images need here, and say what to do about what is not well
///
/// The configuration, the data root and its room, the daemon's sockets, registries, mirrors and proxies, credentials and
/// their helpers, certificates and the clock. Nothing is changed, but that rests of what was interrupted go, as at
/// every start; nobody outside of this machine is asked without --network.
/// Fails if something is not well.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore doctor [OPTIONS]")]
pub(crate) struct Arguments {
    /// Format output: "json"
    #[arg(long, value_name = "string", value_parser = ["json"], hide_possible_values = true)]
    format: Option<String>,
    /// Ask each registry that is configured, and its mirrors, whether it answers
    #[arg(long)]
    network: bool,
}

/// The findings as a document.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report<'a> {
    well: bool,
    findings: &'a [Finding],
}

/// Looks everything over. Ends with status 1 if something is not well.
pub(crate) async fn run(
    arguments: Arguments,
    globals: &Globals,
    environment: Environment,
) -> Result<(), CliError> {
    let findings = checks::all(globals, environment, arguments.network).await;
    let bad = findings.iter().filter(|finding| finding.state == State::Bad).count();
    if arguments.format.is_some() {
        let report = Report { well: bad == 0, findings: &findings };
        output::print_line(&serde_json::to_string(&report).map_err(CliError::AnswerJson)?)?;
    } else {
        output::print(&text(&findings))?;
    }
    match bad {
        0 => Ok(()),
        1 => Err(CliError::Refused("1 thing is not well".to_owned())),
        _ => Err(CliError::Refused(format!("{bad} things are not well"))),
    }
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, state, said, advice } in findings {
        let state = match state {
            State::Well => "ok",
            State::Note => "note",
            State::Bad => "BAD",
        };
        // What a daemon or a registry says may have several lines.
        let said = output::printable(said.trim_end()).replace('\n', "\n                     ");
        let _ = writeln!(text, "{state:<5} {check:<14} {said}"); // Writing to a String cannot fail.
        if let Some(advice) = advice {
            let advice = output::printable(advice);
            let _ = writeln!(text, "{:21}-> {advice}", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_with_what_to_do() {
        let finding = |state, said: &str, advice: Option<&str>| Finding {
            check: "space",
            state,
            said: said.to_owned(),
            advice: advice.map(str::to_owned),
        };
        let findings = [
            finding(State::Well, "much", None),
            finding(State::Bad, "none\nat \u{1b}[2Jall", Some("`longshore prune`")),
        ];
        let expected = "ok    space          much\nBAD   space          none\n                     at \u{fffd}[2Jall\n                     -> `longshore prune`\n";
        assert_eq!(text(&findings), expected);
        let report = Report { well: false, findings: &findings };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"Well":false,"Findings":[{"Check":"space","State":"well","Said":"much"},{"Check":"space","State":"bad","Said":"none\nat \u001b[2Jall","Advice":"`longshore prune`"}]}"#
        );
    }
}
