//! `longshore system check`

use api::Query;
use api::check::{CheckFinding, CheckReport, Remedy, Repair};
use api::message::Aux;

use super::transfer::follow;
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::render::{Display, ProgressFlag, Stream};
use crate::session::Session;

/// Look for damage in the data root
///
/// References, configs, layers and kept blobs are looked over, and with --deep every file is compared with what the image
/// says. Nothing is changed without --repair.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore system check [OPTIONS]")]
pub(crate) struct Arguments {
    /// Compare every file of every layer and every kept blob with its digest
    #[arg(long)]
    deep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    progress: ProgressFlag,
    /// Put right what can be: fetch damaged content again, remove what nothing refers to
    #[arg(long)]
    repair: bool,
}

/// Looks the data root over. Ends with status 1 if something is wrong and stays so.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut display = arguments.progress.start(false, Stream::Error, session);
    let checked = check(&arguments, session, &mut display).await;
    let mut report = CheckReport::default();
    display.finish(checked.map(|checked| {
        report = checked;
        None
    }))?;
    if arguments.json {
        let text = serde_json::to_string(&report).map_err(CliError::AnswerJson)?;
        output::print_line(&text)?;
    } else {
        output::print(&text(&report))?;
    }
    match report.findings.iter().filter(|finding| finding.repair != Repair::Done).count() {
        0 => Ok(()),
        count => Err(CliError::Refused(advice(&report, count, &arguments))),
    }
}

async fn check(
    arguments: &Arguments,
    session: &Session,
    display: &mut Display,
) -> Result<CheckReport, CliError> {
    let query = Query::new()
        .with("deep", arguments.deep.to_string())
        .with("repair", arguments.repair.to_string());
    let answer = session.client.post("/longshore/system/check", Call::query(query)).await;
    let last = follow(answer.map_err(foreign)?.messages(), display).await?;
    match last.and_then(|message| message.aux) {
        Some(Aux::Other(report)) => serde_json::from_value(report).map_err(CliError::AnswerJson),
        _ => Err(CliError::Stream("the check ended without a report".to_owned())),
    }
}

fn foreign(error: CliError) -> CliError {
    let instead = "stop it and use `longshore --data-root DIR system check`";
    error.of_another_daemon("check its data root", instead)
}

fn text(report: &CheckReport) -> String {
    let count =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let summary = format!(
        "{} in {}, {}, {} and {}\n",
        count(report.findings.len(), "problem"),
        count(report.references, "reference"),
        count(report.images, "image"),
        count(report.layers, "layer"),
        count(report.blobs, "blob"),
    );
    report.findings.iter().map(line).chain([summary]).collect()
}

fn line(finding: &CheckFinding) -> String {
    let file = finding.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
    let done = match (finding.repair, finding.remedy) {
        (Repair::None, _) => String::new(),
        (Repair::Done, Remedy::Remove) => " (removed)".to_owned(),
        (Repair::Done, _) => " (repaired)".to_owned(),
        (Repair::Failed, _) => {
            format!(" (not repaired: {})", finding.reason.as_deref().unwrap_or("unknown"))
        }
    };
    format!("{}: {file}{}{done}\n", finding.subject, finding.problem)
}

/// Returns what is left, and what the user can do.
fn advice(report: &CheckReport, left: usize, arguments: &Arguments) -> String {
    let problems = spec::counted(left, "problem is/problems are");
    if arguments.repair {
        return format!("{problems} left");
    }
    let helps = report.findings.iter().filter(|finding| finding.remedy != Remedy::Nothing).count();
    match helps {
        0 => format!("{problems} there, and nothing can be done about it"),
        1 if left == 1 => format!("{problems} there; --repair puts it right"),
        _ if helps == left => format!("{problems} there; --repair puts them right"),
        _ => format!("{problems} there; --repair can put {helps} of them right"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_and_what_is_left_is_told() {
        let finding = |file: Option<&str>, remedy, repair| CheckFinding {
            subject: "layer sha256:1".to_owned(),
            file: file.map(str::to_owned),
            problem: "it is gone".to_owned(),
            remedy,
            repair,
            reason: (repair == Repair::Failed).then(|| "offline".to_owned()),
        };
        for (given, expected) in [
            (finding(None, Remedy::Remove, Repair::None), "layer sha256:1: it is gone\n"),
            (finding(None, Remedy::Remove, Repair::Done), "layer sha256:1: it is gone (removed)\n"),
            (
                finding(Some("bin/sh"), Remedy::Fetch, Repair::Done),
                "layer sha256:1: bin/sh: it is gone (repaired)\n",
            ),
            (
                finding(None, Remedy::Fetch, Repair::Failed),
                "layer sha256:1: it is gone (not repaired: offline)\n",
            ),
        ] {
            assert_eq!(line(&given), expected);
        }
        let report = |remedies: &[Remedy]| CheckReport {
            findings: remedies.iter().map(|r| finding(None, *r, Repair::None)).collect(),
            ..CheckReport::default()
        };
        let arguments = |repair| Arguments {
            deep: false,
            json: false,
            progress: ProgressFlag::default(),
            repair,
        };
        for (remedies, repair, expected) in [
            (&[Remedy::Mend][..], false, "1 problem is there; --repair puts it right"),
            (
                &[Remedy::Nothing, Remedy::Mend],
                false,
                "2 problems are there; --repair can put 1 of them right",
            ),
            (&[Remedy::Nothing], false, "1 problem is there, and nothing can be done about it"),
            (&[Remedy::Fetch, Remedy::Fetch], true, "2 problems are left"),
        ] {
            assert_eq!(advice(&report(remedies), remedies.len(), &arguments(repair)), expected);
        }
        assert_eq!(
            text(&CheckReport::default()),
            "0 problems in 0 references, 0 images, 0 layers and 0 blobs\n"
        );
    }
}
